"""Personal data by form: what has a check digit is checked, what has none needs words around it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from curate.prompts.addresses import holds_address
from curate.prompts.work import Gone, Work

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}\b", re.IGNORECASE)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d.,]?\d)")
SSN = re.compile(
    r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])|\b(?:ssn|social security)\D{0,20}\d{3}[ -]?\d{2}[ -]?\d{4}\b", re.I
)
PHONE = re.compile(
    r"(?<![\w+.,-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){1,4}\d{3,4}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4}|0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4})(?![\w]|[.-]\d)"
)
PHONE_WORDS = re.compile(
    r"\b(?:call|phone|ring|text|reach|dial|whatsapp|tel|mobile|cell|number)\b\D{0,24}(\+?\d[\d ().-]{6,18}\d)", re.I
)
ACCOUNT = re.compile(
    r"\b(?:account|acct|a/c|routing|sort code|passport|licen[cs]e)\s*(?:no|num|number|#)?\b\.?:?\s*(?:is\s*)?#?"
    r"\d[\d -]{5,20}\d\b",
    re.I,
)
IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]|\.\d)")
PERSON = r"[A-ZÀ-Þ][\w'’-]+(?: (?:[A-Z]\. )?(?:(?:van|von|de|da|der|den|la|bin|al) )*[A-ZÀ-Þ][\w'’-]+){1,3}"
NAME = re.compile(
    rf"\b(?:(?i:my (?:full |real )?name is|my name[’']s|i am called|(?:yours |kind |best |warm )?(?:sincerely|regards|wishes),?"
    rf"|signed,?|name:)\s+{PERSON}|(?i:this is)\s+{PERSON}\s+(?i:speaking|calling|writing|from)\b"
    rf"|(?:I[’']m|I am)\s+{PERSON}(?=[,.]|\s+(?:and|from|with|of|calling|writing)\b|$))"
)
LOCAL_IPS = ("127.", "0.", "255.", "10.", "192.168.", "169.254.")


def pii(work: Work, *, kinds: list[str] | None = None) -> list[Gone]:
    """Rows that hold personal data.

    Args:
        work: the job.
        kinds: which to look for; all of email, phone, iban, card, ssn, account, ip, address, name if none is given.
    """
    wanted = set(kinds) if kinds else None
    drops = []
    for row, text in enumerate(work.prompts.texts):
        found = [kind for kind in find_personal_data(text) if wanted is None or kind in wanted]
        if found:
            drops.append(Gone(row, f"personal data: {', '.join(dict.fromkeys(found))}", score=float(len(found))))
    return drops


def find_personal_data(text: str) -> Iterator[str]:
    """The kinds of personal data in a text, each at most once."""
    digits = any(letter.isdigit() for letter in text)
    if "@" in text and EMAIL.search(text):
        yield "email"
    if digits:
        yield from find_numbers(text)
    if NAME.search(text):
        yield "name"


def find_numbers(text: str) -> Iterator[str]:
    """The kinds that hold digits."""
    if any(is_iban(found) for found in IBAN.findall(text)):
        yield "iban"
    if any(passes_luhn(found) for found in CARD.findall(text)):
        yield "card"
    if SSN.search(text):
        yield "ssn"
    if any(7 < sum(map(str.isdigit, found)) < 16 for found in (*PHONE.findall(text), *PHONE_WORDS.findall(text))):
        yield "phone"
    if ACCOUNT.search(text):
        yield "account"
    if any(not found.startswith(LOCAL_IPS) for found in IP.findall(text)):
        yield "ip"
    if holds_address(text):
        yield "address"


def is_iban(found: str) -> bool:
    """Whether a candidate, or a beginning of it, has the length and the check digits of an IBAN (ISO 13616, mod 97)."""
    plain = found.replace(" ", "")
    return any(check_iban(plain[:size]) for size in range(len(plain), 14, -1))


def check_iban(plain: str) -> bool:
    """Mod 97 of the rearranged letters and digits is 1."""
    if not 15 <= len(plain) <= 34:
        return False
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1


def passes_luhn(found: str) -> bool:
    """Whether the digits of a payment card check (ISO/IEC 7812), and begin as cards do."""
    digits = [int(letter) for letter in found if letter.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0
