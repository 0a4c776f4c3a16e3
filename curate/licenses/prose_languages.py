"""Phrases of other languages than English in which cards say what wrote their training text, and what may be done."""

# ruff: noqa: E501 – patterns stand whole

from curate.licenses.lazy import Pattern

WRITTEN_BEFORE = Pattern(
    r"\b(?:g[ée]n[ée]r[ée]\w*|produite?s?|cré[ée]e?s?|rédig[ée]\w*|traduite?s?|issue?s?)\b[^.;|]{0,24}\b(?:par|avec|de|via)\b[^.;|]{0,16}$"
    r"|\b(?:generad|cread|producid|escrit|gerad|criad|produzid|traducid|traduzid|sintetizad|obtid|obtenid)[oa]s?\b[^.;|]{0,24}\b(?:por|pel[oa]s?|com|con|mediante|usando|a partir)\b[^.;|]{0,16}$"
    r"|\b(?:generat|creat|prodott|scritt|tradott)[ioae]\b[^.;|]{0,24}\b(?:da|dal|con|tramite|usando)\b[^.;|]{0,16}$"
    r"|(?:сгенерирован|созданн|написанн|полученн|синтезированн|переведенн|переведённ)\w*[^.;|]{0,30}$"
    r"|\b(?:gegenereerd|geschreven|vertaald|wygenerowan\w*|napisan\w*|przetłumaczon\w*|oluşturul\w*)\b[^.;|]{0,30}$"
    r"|(?:مولد|منشأ|مكتوب|مترجم)\w*[^.]{0,20}$"
    r"|(?:데이터|답변|응답|대화)[^.]{0,12}$"
)
WRITTEN_AFTER = Pattern(
    r"^[\w.\-]{0,16}\W{0,3}(?:\w+\W+){0,2}?(?:generiert|erzeugt|erstellt|geschrieben|übersetzt|gegenereerd|vertaald|wygenerowan|tarafından (?:üret|oluştur|yaz)|ile (?:üret|oluştur))\w*"
    r"|^[\w.\-]{0,16}(?:\s?api)?(?:로|으로|가|이|를|을|의)?\s?(?:이용|사용|통해|활용)?(?:하여|해|해서)?\s?(?:생성|작성|만든|합성|번역|답변|증류)"
    r"|^[\w.\-]{0,16}(?:を(?:用い|使っ|使用し|利用し)て|で|により|による|が|の)[^。]{0,8}(?:生成|作成|合成|翻訳|応答|出力|蒸留)"
    r"|^[\w.\-]{0,16}[^。]{0,12}(?:生成|合成|翻译|撰写|标注|蒸馏)"
)
USE_NOUN_BEFORE = Pattern(
    r"\b(?:use|usage|uso|usos|fines|fins|utilisation|nutzung|verwendung|zwecke|scopi|finalidades|propósitos|gebruik)\W{1,3}(?:\w+\W+)?$"
)
USE_NOUN_AFTER = Pattern(
    r"^\w*\W{0,3}(?:\w+\W+)?(?:zweck\w*|nutzung|verwendung|gebrauch|lizenz|uso|usos|usage|utilisation|fins|fines|finalidades|propósitos|scopi|использован\w*|цел\w*|gebruik|doeleinden)\b"
)
FORBIDDEN = (
    r"商用利用(?:は|が|を)?[^。\n]{0,6}(?:できません|不可|禁止|不能)|商用(?:目的|利用)[^。\n]{0,12}(?:禁止|不可|できません)|非営利|研究目的(?:のみ|に限)"
    r"|상업적(?:인)?\s?(?:이용|사용|용도|목적)[^.\n]{0,20}(?:불가|금지|없|안 )|비영리|연구 ?(?:목적|용)(?:으로만|에만)"
    r"|(?:不可|不能|不允许|不得|禁止)(?:用于)?商(?:用|业)|仅限(?:于)?(?:学术|科研|非商)|只能用于(?:学术|科研|研究)"
    r"|\b(?:keine|nicht für) (?:die )?kommerzielle\w* (?:nutzung|zwecke|verwendung)|\b(?:usage|utilisation) commercial\w* (?:est )?interdit\w*|\buso com[em]rcial (?:está |é |es )?(?:prohibido|proibido|vietato)"
    r"|коммерческ\w+ использован\w+[^.\n]{0,20}(?:запрещ|не допуск|нельзя)|только (?:для|в) (?:исследоват|некоммерч)\w+"
)
