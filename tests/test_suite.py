"""Suites and prompt files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench_core.errors import KvbenchError, ParameterError
from kvbench_core.suite import Prompt, Suite, SuiteError, prompt_digest, read_suite


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_text_file_has_one_prompt_a_line(tmp_path: Path):
    suite = read_suite(file(tmp_path, "mine.txt", "# comment\na cat, running\r\n\n  a dog  \n"))
    assert suite.name == "mine"
    assert [(p.id, p.index, p.text) for p in suite.prompts] == [
        ("p001", 0, "a cat, running"),
        ("p002", 1, "a dog"),
    ]


def test_a_table_may_bring_ids(tmp_path: Path):
    suite = read_suite(file(tmp_path, "s.csv", 'id,prompt\nx,"a cat, with\na hat"\n,a dog\n'))
    assert [(p.id, p.text) for p in suite.prompts] == [
        ("x", "a cat, with\na hat"),
        ("p002", "a dog"),
    ]


def test_json_lines(tmp_path: Path):
    lines = [{"id": 7, "prompt": "a cat"}, {"prompt": "ein Hündchen", "more": [1]}]
    suite = read_suite(file(tmp_path, "s.jsonl", "\n".join(map(json.dumps, lines))))
    assert [(p.id, p.text) for p in suite.prompts] == [("7", "a cat"), ("p002", "ein Hündchen")]


def test_a_byte_order_mark_is_no_part_of_the_first_prompt(tmp_path: Path):
    assert read_suite(file(tmp_path, "s.txt", b"\xef\xbb\xbfa cat")).prompts[0].text == "a cat"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.txt", "", "suite s has no prompt"),
        ("s.txt", b"a cat\n\xff\xfe", "line 2 is not UTF-8"),
        ("s.txt", "a\0cat", "p001: text must be"),
        ("s.txt", "a" * 20_001, "p001: text must be"),
        ("s.toml", "a cat", r"is no prompt file; it must end in .txt, .csv, .jsonl"),
        ("s.csv", "text\na cat\n", "must name a column 'prompt'"),
        ("s.csv", "", "must name a column 'prompt'"),
        ("s.csv", "id,prompt\nx,\n", "line 2 has no 'prompt'"),
        ("s.csv", "id,prompt\nx,a\nx,b\n", "more than one prompt with id 'x'"),
        ("s.csv", 'id,prompt\nx,"a\n', "line 1: unexpected end"),
        ("s.jsonl", '{"prompt": "a"}\n{"prompt"', "line 2 is no JSON"),
        ("s.jsonl", "[]", "line 1 is no JSON object"),
        ("s.jsonl", '{"prompt": 3}', "line 1 has no 'prompt'"),
        ("s.jsonl", '{"id": [], "prompt": "a"}', "'id' must be a text"),
        ("s.jsonl", '{"prompt": "\\ud800"}', "text must be"),
        ("s.jsonl", '{"id": "a\\nb", "prompt": "a"}', "id must be 1 to 200 printable"),
        ("s.jsonl", "[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_a_useless_file_is_refused_with_its_name(tmp_path: Path, name, content, message):
    with pytest.raises(SuiteError, match=message) as caught:
        read_suite(file(tmp_path, name, content))
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SuiteError, match=r"none.txt: cannot be read: No such file"):
        read_suite(tmp_path / "none.txt")


@given(st.binary(max_size=200), st.sampled_from([".txt", ".csv", ".jsonl"]))
def test_any_bytes_are_prompts_or_a_clear_error(tmp_path_factory, content: bytes, suffix: str):
    path = tmp_path_factory.mktemp("s") / f"s{suffix}"
    path.write_bytes(content)
    try:
        outcome = str(read_suite(path).prompts[0].id)
    except KvbenchError as error:
        outcome = str(error) if str(path) in str(error) else ""
    assert outcome


def test_ids_must_differ():
    prompt = Prompt(id="a", index=0, text="x")
    with pytest.raises(SuiteError, match="more than one prompt with id 'a'"):
        Suite(name="s", prompts=(prompt, prompt))


def test_a_blank_prompt_is_refused():
    with pytest.raises(ParameterError, match="prompt a: text must be"):
        Prompt(id="a", index=0, text="  ")


def test_the_digest_depends_on_each_text():
    first, other = (Prompt(id="a", index=0, text=text) for text in ("x", "y"))
    assert prompt_digest([first]) != prompt_digest([other])
