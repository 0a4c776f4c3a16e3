"""The checks of answers: false alarms on ordinary answers, recall on refused, cut, looping and foreign ones.

    CURATE_CORPUS=<folder> python bench/answers.py

Ordinary answers are the ``response`` of sets written by people or checked by them. No set here labels its faulty
answers, so those are made: refusals are written out below, the rest is made from ordinary answers by seed. What is
found of made faults says less about real ones than a labelled set would.
"""

import random
from collections import Counter

from corpora import read_set
from machine import describe, markdown, write_table

from curate.prompts.language import wrong_language
from curate.prompts.quality import row_fault

ORDINARY = ("oasst_sample", "self_instruct_seed", "self_instruct_user", "gsm8k", "humaneval", "bbh")
MOST = 3000
REFUSALS = (
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, but I can’t help with that request.",
    "I am sorry, but I am unable to provide that information.",
    "I'm sorry, I cannot fulfill this request.",
    "Sorry, I can't help with {topic}.",
    "Sorry, but I'm not able to answer that.",
    "Unfortunately, I can't browse the internet, so I don't know about {topic}.",
    "Unfortunately I am not able to discuss {topic}.",
    "I apologize, but I cannot provide an answer about {topic}.",
    "I cannot answer that question.",
    "I can't write about {topic}.",
    "I won't help with that.",
    "I must decline to answer.",
    "I'm unable to help with {topic}.",
    "I am not able to create content on {topic}.",
    "I'm not able to help you with that.",
    "I'm afraid I can't do that.",
    "As an AI language model, I cannot have an opinion on {topic}.",
    "As an AI, I don't have access to real-time data on {topic}.",
    "As a large language model, I do not have personal experiences with {topic}.",
    "I do not have access to the internet, so I cannot look up {topic}.",
    "I don't have the ability to open links or files.",
    "My apologies, but this is something I cannot do.",
    "It would not be appropriate for me to answer that.",
    "This request goes against my guidelines, so I have to decline.",
    "I have to decline this request.",
    "That is not something I can help with.",
    "I'm not comfortable answering questions about {topic}.",
    "I regret that I can't be of help with {topic}.",
    "No, I can't help with that.",
    "I understand that you want to know about {topic}, but I can't help with it.",
    "Thank you for asking. However, I am unable to respond to this request.",
    "I'm just an AI and can't give advice on {topic}.",
    "I'm an AI language model, so I can't taste or feel {topic}.",
    "Please consult a professional; I cannot give advice on {topic}.",
    "Your request has been refused.",
    "I'm really sorry, but I won't be able to write that for you.",
    "I'd rather not talk about {topic}.",
    "Sorry – this isn't something I'm able to do.",
    "I do apologize, however I can't share information regarding {topic}.",
    "I cannot in good conscience assist with {topic}.",
    "I don't feel comfortable discussing {topic}.",
    "I'm sorry, but as an AI I can't do that.",
    "As a responsible AI, I can't provide help with {topic}.",
    "Regrettably, I am not able to comply with this request.",
    "I can't engage in conversations about {topic}.",
    "I am programmed not to talk about {topic}.",
    "My guidelines do not allow me to answer questions on {topic}.",
    "I'm not able to browse the web or see live data about {topic}.",
    "I have no personal opinions about {topic}, since I am an AI.",
    "Being an AI model, I can't form a view on {topic}.",
    "That request is outside of what I can do.",
    "I'm going to have to pass on this one.",
    "Unfortunately, it's not possible for me to answer this.",
    "I'm unable to fulfill your request because it breaks the rules.",
    "We're sorry, but we cannot process this request.",
    "I will not provide instructions on {topic}.",
    "Let's talk about something else, I can't answer that.",
    "I need to refuse.",
    "It's against my programming to answer that.",
)
LATER_REFUSALS = (
    "I'm sorry, Dave. I'm afraid I can't do that.",
    "I don't think I should answer this.",
    "I am sorry but I don't know how to answer that.",
    "I'm afraid that falls outside of my capabilities.",
    "I won't be able to provide details on {topic}.",
    "Sorry, that information isn't available to me.",
    "I have been instructed not to discuss {topic}.",
    "As a text-based model I cannot see {topic}.",
    "I can't provide medical or legal advice on {topic}.",
    "I'm not permitted to comment on {topic}.",
    "This question violates our content policy.",
    "I'd prefer not to respond to that.",
    "I cannot comply.",
    "We are unable to process questions on {topic} at the moment.",
    "I am only a language model and cannot predict {topic}.",
    "Unfortunately, I do not have enough information to answer.",
    "That would be unethical, so I can't help you.",
    "I regret to say that I cannot assist you with {topic}.",
    "I can not do that for you.",
    "I do not feel comfortable writing about {topic}.",
    "It is not possible for me to help with {topic}.",
    "I will have to decline.",
    "I'm designed to avoid topics like {topic}.",
    "My programming prevents me from discussing {topic}.",
)
"""Not looked at when the patterns were made."""
PROSE = ("oasst_sample", "self_instruct_seed", "self_instruct_user")
TOPICS = ("card fraud", "the weather today", "a diet for my dog")
TOLD = ("empty", "refused", "cut off", "over and over", "answered in")


def main() -> None:
    draw = random.Random(0)
    rows = {name: read_set(name) for name in ORDINARY}
    pairs = {
        name: [
            (row["prompt"], row["response"]) for row in draw.sample(some, min(MOST, len(some))) if row.get("response")
        ]
        for name, some in rows.items()
    }
    alarms = [alarm_line(name, some) for name, some in pairs.items()]
    everything = [pair for some in pairs.values() for pair in some]
    alarms.append(alarm_line("all", everything))
    prose = [answer for name in PROSE for _, answer in pairs[name] if is_long(answer)]
    worked = [answer for _, answer in pairs["gsm8k"] if is_long(answer)]
    found = [found_line(kind, *made) for kind, made in made_faults(prose, worked, draw).items()]
    head = ["set", "answers", *TOLD, "garbage", "any", "share"]
    write_table(
        "answers",
        f"# Checks of answers\n\n{describe()}\n\n## Ordinary answers found faulty\n\n"
        + markdown(head, alarms)
        + "\n\n## Made faults found\n\nNobody labelled these: refusals are those of the script, the rest is made from "
        f"{len(prose):,} answers in prose ({', '.join(PROSE)}) and {len(worked):,} with worked sums (gsm8k), each of "
        "40 words and more\n\n" + markdown(["fault", "answers", "found", "found under its own name"], found),
    )


def fault_of(prompt: str, answer: str) -> str:
    """What the commands say of an answer beside its prompt."""
    return row_fault(answer, answers=True) or wrong_language(answer, prompt)


def name_of(fault: str) -> str:
    """The fault's name in the table."""
    return next((name for name in TOLD if name in fault), "garbage" if fault else "")


def alarm_line(name: str, pairs: list[tuple[str, str]]) -> list[object]:
    """How many of some ordinary answers each check finds faulty."""
    counts = Counter(name_of(fault_of(prompt, answer)) for prompt, answer in pairs)
    wrong = len(pairs) - counts[""]
    return [name, f"{len(pairs):,}", *(counts[one] for one in (*TOLD, "garbage")), wrong, f"{wrong / len(pairs):.2%}"]


def is_long(answer: str) -> bool:
    """Whether an answer is long enough to be cut or looped, and nothing is wrong with it before that."""
    return len(answer.split()) >= 40 and not row_fault(answer, answers=True)


def made_faults(
    prose: list[str], worked: list[str], draw: random.Random
) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Faulty answers by kind: the name they should be told under, and (prompt, answer)."""
    asked = "Please explain to me what it is and how it can be used in the office."
    few = draw.sample(worked, 300)
    cuts = {
        f"cut {where} a word, {name}": (
            "cut off",
            [(asked, cut(one, draw)[: -2 if where == "in" else None]) for one in some],
        )
        for name, some in (("prose", prose * 3), ("worked sums", few * 2))
        for where in ("at", "in")
    }
    foreign = [row["text"] for row in read_set("corpus_udhr") if row["lang"] != "eng" and len(row["text"]) > 60]
    first, later = (
        [(asked, one.format(topic=topic)) for one in some for topic in TOPICS] for some in (REFUSALS, LATER_REFUSALS)
    )
    return {
        "refusals": ("refused", first),
        "refusals written after the patterns": ("refused", later),
        **cuts,
        "last sentence 20 times more": ("over and over", [(asked, again(one, 20)) for one in [*prose, *few]]),
        "last sentence 6 times more": ("over and over", [(asked, again(one, 6)) for one in [*prose, *few]]),
        "last word 40 times": (
            "over and over",
            [(asked, f"{one} {' '.join([one.split()[-1]] * 40)}") for one in prose],
        ),
        "another language": ("answered in", [(asked, one) for one in draw.sample(foreign, min(600, len(foreign)))]),
        "empty": ("empty", [(asked, one) for one in ("", " ", "\n\n", "\u200b")]),
    }


def cut(answer: str, draw: random.Random) -> str:
    """The answer up to a word in its second half, as a limit of tokens would leave it."""
    words = answer.split(" ")
    return " ".join(words[: draw.randrange(len(words) // 2, len(words) - 1)])


def again(answer: str, times: int) -> str:
    """The answer with its last sentence so many times more."""
    last = answer.strip().rsplit(". ", 1)[-1]
    return " ".join([answer.strip(), *[last] * times])


def found_line(kind: str, name: str, pairs: list[tuple[str, str]]) -> list[object]:
    """How many of some faulty answers are found, and under the right name."""
    told = [name_of(fault_of(prompt, answer)) for prompt, answer in pairs]
    return [kind, f"{len(pairs):,}", f"{sum(map(bool, told)) / len(told):.3f}", f"{told.count(name) / len(told):.3f}"]


if __name__ == "__main__":
    main()
