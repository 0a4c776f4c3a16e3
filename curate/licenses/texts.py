"""Which license a text is, by its own title and sentences; no guess where it might be another."""

import re

MAX_CHARS = 40_000
TITLES: tuple[tuple[str, str], ...] = (
    ("llama4", r"llama 4 community license agreement"),
    ("llama3.3", r"llama 3\.3 community license agreement"),
    ("llama3.2", r"llama 3\.2 community license agreement"),
    ("llama3.1", r"llama 3\.1 community license agreement"),
    ("llama3", r"meta llama 3 community license agreement"),
    ("llama2", r"llama 2 community license agreement"),
    ("llama1", r"llama (?:research )?license agreement|non-commercial bespoke license"),
    ("gemma", r"gemma terms of use"),
    ("qwen-research", r"qwen research license agreement"),
    ("tongyi-qianwen-research", r"tongyi qianwen research license"),
    ("tongyi-qianwen", r"tongyi qianwen license agreement"),
    ("qwen", r"qwen license agreement"),
    ("deepseek-license", r"deepseek license agreement"),
    ("yi-license", r"yi series models (?:community )?license agreement"),
    ("mistral-mrl", r"mistral ai research license"),
    ("mistral-mnpl", r"mistral ai non-production license"),
    ("flux-1-dev-nc", r"flux\.1 \[dev\] non-commercial license"),
    ("exaone-1.1-nc", r"exaone ai model license agreement 1\.1"),
    ("opt-175b", r"opt-175b license agreement"),
    ("msrla", r"microsoft research license"),
    ("fair-noncommercial-research-license", r"fair noncommercial research license"),
    ("apple-amlr", r"apple machine learning research model"),
    ("bigcode-openrail-m", r"bigcode open ?rail"),
    ("openrail", r"responsible ai license|open rail-?m|openrail"),
    ("cc-by-nc-nd-4.0", r"attribution-noncommercial-noderivatives 4\.0"),
    ("cc-by-nc-sa-4.0", r"attribution-noncommercial-sharealike 4\.0"),
    ("cc-by-nc-4.0", r"attribution-noncommercial 4\.0"),
    ("cc-by-sa-4.0", r"attribution-sharealike 4\.0"),
    ("agpl-3.0", r"gnu affero general public license"),
    ("lgpl-3.0", r"gnu lesser general public license"),
    ("gpl-3.0", r"gnu general public license"),
    ("stability-nc-research", r"stability ai non-?commercial research"),
    ("stability-community", r"stability ai community license"),
)
FORBIDS = re.compile(
    r"non-?commercial (?:research )?(?:use|purposes?) only|"
    r"solely for (?:non-?commercial|research)|for research purposes only"
)


PLAIN: tuple[tuple[str, str, int], ...] = (
    ("apache-2.0", r"apache license,? version 2\.0", 12_500),
    ("mit", r"permission is hereby granted, free of charge", 1_250),
    ("bsd-3-clause", r"redistribution and use in source and binary forms", 1_900),
    ("unlicense", r"this is free and unencumbered software", 1_400),
    ("cc0-1.0", r"cc0 1\.0 universal|creative commons zero", 8_000),
    ("cc-by-4.0", r"attribution 4\.0 international", 20_000),
    ("openmdw-1.1", r"openmdw license agreement", 3_500),
    ("nvidia-open-model", r"nvidia open model license", 20_000),
)
"""Permissive texts by their title and the most letters they may have: a text with a rider is longer."""
RIDER = re.compile(r"modified mit|non-?commercial|provided that (?:if|the following additional)|monthly active users")


def recognize(text: str) -> str:
    """The catalogue id of a license text; ``cc-by-nc-4.0`` for an unknown text that bars commerce, empty if unknown.

    A permissive id is given only to a text that opens as that license does and is no longer than it.
    """
    plain = " ".join(text[:MAX_CHARS].lower().split())
    head = plain[:1500]
    for license_id, title in TITLES:
        if re.search(title, head):
            return license_id
    for license_id, title, longest in PLAIN:
        if re.search(title, head) and len(plain) <= longest and not RIDER.search(plain):
            return license_id
    return "cc-by-nc-4.0" if FORBIDS.search(plain) else ""
