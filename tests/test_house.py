"""The house keeps its own rules."""

import ast
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from curate import errors
from curate.cli.main import COMMANDS, SUMMARIES, group

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "curate").rglob("*.py"))
BANNED = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "factory", "handler", "processor", "base"}


def command(name):
    return group.get_command(click.Context(group), name)


@pytest.mark.parametrize("module", [*MODULES, *sorted((ROOT / "recipes").rglob("*.py"))], ids=str)
def test_no_file_is_longer_than_300_lines(module):
    assert len(module.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_name_says_nothing(module):
    tree = ast.parse(module.read_text())
    defined = (ast.FunctionDef, ast.ClassDef)
    names = [module.stem, *(node.name for node in ast.walk(tree) if isinstance(node, defined))]
    said = {word for name in names for word in re.findall(r"[A-Z]?[a-z]+", name)}
    assert not {word.lower() for word in said} & BANNED


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_british_spelling_stays_in_the_data(module):
    defined = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, defined)]
    assert not [name for name in names if "licence" in name.lower()]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_what_only_posix_has_stands_in_one_place(module):
    tree = ast.parse(module.read_text())
    imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    asked = [
        f"os.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    ]
    only_posix = {
        "fcntl",
        "resource",
        "pwd",
        "grp",
        "termios",
        "os.fork",
        "os.getuid",
        "os.uname",
        "os.link",
        "os.nice",
    }
    found = {*imported, *asked} & only_posix
    assert found <= ({"fcntl"} if module.name == "lock.py" else set())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_text_is_read_and_written_as_utf_8_and_a_line_ends_the_same_everywhere(module):
    assert [line for line, call in opened(module) if "encoding" not in call] == []
    writes = [
        line for line, call in opened(module) if call.get("mode", "r")[0] in "wax" and call.get("newline") != "\n"
    ]
    assert writes == [], "on Windows a text file that is written so ends its lines otherwise"


def opened(module):
    """Line and arguments of every call that opens a text file by ``open``, ``Path`` or ``tempfile``."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
        if name not in ("open", "read_text", "write_text", "NamedTemporaryFile", "TemporaryFile", "fdopen"):
            continue
        told = {key.arg: key.value.value for key in node.keywords if isinstance(key.value, ast.Constant)}
        modes = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if isinstance(node.func, ast.Name) and name == "write_text":
            continue  # our own, from curate.artifact
        if name == "open" and node.args and not modes:
            continue  # a ticket, a descriptor, an archive
        mode = told.get("mode", modes[-1] if modes else "r" if name != "NamedTemporaryFile" else "w+b")
        if "b" not in mode and name != "read_text":
            yield node.lineno, {**told, "mode": "w" if name == "write_text" else mode}
        elif name == "read_text":
            yield node.lineno, told


def test_every_error_stands_in_the_tree_with_its_exit_code():
    tree = errors.__doc__ or ""
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if kind.__module__ == "curate.errors" and issubclass(kind, errors.CurateError):
            assert name in tree
            if "exit_code" in vars(kind) and kind is not errors.CurateError:
                assert re.search(rf"{name}\s+{kind.exit_code}\b", tree)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_a_summary_and_a_mention_in_the_readme(name):
    assert command(name).help
    assert SUMMARIES[name]
    assert f"curate {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_ends_with_examples_that_it_takes(name):
    asked = command(name)
    shown = asked.get_help(click.Context(asked, info_name=f"curate {name}", max_content_width=100))
    assert "\\b" not in shown
    lines = re.sub(r"\\\n\s*", "", shown.split("Options:")[0]).splitlines()
    examples = [line.strip() for line in lines if line.strip().startswith("curate ")]
    assert any(line.split()[1] == name for line in examples)
    for line in examples:
        words = shlex.split(line.split(" > ")[0])
        other = command(words[1])
        other.make_context(words[1], words[2:], resilient_parsing=True)
        unknown = [word for word in words[2:] if word.startswith("-") and not takes(other, word)]
        assert unknown == [], line


def takes(asked, word):
    return any(word.split("=")[0] in option.opts for option in asked.params)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_has_help(name):
    options = [p for p in command(name).params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_help_of_the_group_imports_no_command():
    code = (
        "import sys; from click.testing import CliRunner; from curate.cli.main import group;"
        "r = CliRunner().invoke(group, ['--help']); assert r.exit_code == 0, r.output;"
        "print([m for m in sys.modules if m.startswith('curate.cli.') and m != 'curate.cli.main'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_license_gate_loads_no_numeric_stack(tmp_path):
    card = tmp_path / "models" / "a__b"
    card.mkdir(parents=True)
    (card / "README.md").write_text("---\nlicense: mit\n---\n")
    arguments = ["-X", "importtime", "-m", "curate", "check-license", "a/b", "--cards", str(tmp_path), "--offline"]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert done.returncode == 0, done.stdout
    assert loaded & {"curate", "yaml"}
    assert not loaded & {
        "torch",
        "numpy",
        "pandas",
        "transformers",
        "pyarrow",
        "sklearn",
        "huggingface_hub",
        "requests",
    }


def test_nothing_of_the_workplace_is_named():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout: nothing is tracked")
    named = [name for name in tracked if Path(ROOT / name).suffix in {".py", ".md", ".yaml", ".toml"}]
    text = {name: (ROOT / name).read_text(encoding="utf-8") for name in named if (ROOT / name).is_file()}
    assert [name for name, content in text.items() if "/wo" + "rk/" in content or ".lib" + "rary" in content] == []


def test_every_markdown_link_into_the_repository_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [(page, target) for page in pages for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]
    assert [f"{page.name} -> {target}" for page, target in links if not (page.parent / target).exists()] == []


SCRIPTS = sorted(path for folder in ("bench", "recipes", "docs") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_takes_from_curate_is_there(script):
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "curate":
            module = importlib.import_module(node.module)
            for name in node.names:
                found = hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}")
                assert found, f"line {node.lineno}: no {name.name} in {node.module}"
