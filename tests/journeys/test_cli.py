"""`ltm` as people use it: most commands in this process, signals and pipes in real ones."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Candidate, Memory
from ltm_core.cli import main
from ltm_core.cli.agent import to_you
from ltm_core.cli.run import run
from ltm_core.policies import Extracting

Ltm = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LTM_DB", f"sqlite:///{tmp_path / 'ltm.db'}")
    monkeypatch.setenv("LTM_USER", "sarah")
    monkeypatch.setenv("COLUMNS", "200")
    for other in ("LTM_SESSION", "LTM_AGENT", "LTM_TENANT", "LTM_DEBUG"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ltm(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ltm:
    def call(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        code = run(arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(os.environ["LTM_DB"], background=False) as opened:
        yield opened


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ltm_core.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(started: subprocess.Popen[str]) -> Outcome:
    out, err = started.communicate(timeout=60)
    return Outcome(started.returncode, out, err)


def lines(*messages: dict[str, Any]) -> str:
    return "".join(json.dumps(message) + "\n" for message in messages)


def conversation(size: int) -> list[dict[str, Any]]:
    return [
        {"role": ("user", "assistant")[number % 2], "content": f"This is remark {number}."} for number in range(size)
    ]


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def texts(memory: Memory, session: str) -> list[str]:
    return [message.text for message in memory.sessions.get_messages(session)]


# Sessions


def trip(memory: Memory) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": "{}"}}
    told: list[dict[str, Any]] = [
        {"role": "user", "content": "We sail to Iceland [in May]."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "booked", "tool_call_id": "c1"},
        {"role": "assistant", "content": "The boat is booked.", "metadata": {"by": "agent"}},
    ]
    memory.sessions.add_messages("trip", told, "sarah")
    memory.sessions.rename("trip", "The north")


def test_sessions_are_listed_and_shown(ltm: Ltm, memory: Memory) -> None:
    assert ltm("sessions").out == "There are no sessions yet.\n"
    trip(memory)
    memory.sessions.add_message("work", "The report is due.", "sarah")
    assert [session["id"] for session in ltm("sessions", "--json").data] == ["work", "trip"]
    assert "The north" in ltm("sessions", "list").out
    assert len(ltm("sessions", "list", "--limit", "1", "--json").data) == 1
    shown = ltm("sessions", "show", "trip").out
    assert "We sail to Iceland [in May]." in shown
    assert '"name": "book"' in shown
    assert [message["role"] for message in ltm("sessions", "show", "trip", "--limit", "2", "--json").data] == [
        "tool",
        "assistant",
    ]


def test_a_summary_is_shown_and_made_when_asked_for(ltm: Ltm, memory: Memory) -> None:
    trip(memory)
    missing = ltm("sessions", "summary", "trip")
    assert (missing.code, missing.out) == (1, "")
    assert "--renew" in missing.err
    assert "We sail to Iceland" in ltm("sessions", "summary", "trip", "--renew").out
    memory.sessions.add_message("trip", "And back in June.", "sarah")
    newest = ltm("sessions", "summary", "trip", "--renew", "--json").data
    assert (newest["version"], newest["first"], newest["last"]) == (2, 1, 5)
    assert [one["version"] for one in ltm("sessions", "summary", "trip", "--all", "--json").data] == [1, 2]
    assert "1 to 4" in ltm("sessions", "summary", "trip", "--all").out


def test_what_is_exported_can_be_ingested(ltm: Ltm, memory: Memory) -> None:
    trip(memory)
    exported = ltm("sessions", "export", "trip")
    assert len(exported.out.splitlines()) == 4
    assert ltm("sessions", "export", "trip", "--json").data == [json.loads(line) for line in exported.out.splitlines()]
    assert ltm("ingest", "-", "--user", "ben", "--session", "copy", stdin=exported.out).code == 0
    given = {"session_id", "turn_id"}
    copied = [message.model_dump(exclude=given) for message in memory.sessions.get_messages("copy", user_id="ben")]
    assert copied == [message.model_dump(exclude=given) for message in memory.sessions.get_messages("trip")]


def test_sessions_of_others_and_unknown_ones_are_refused(ltm: Ltm, memory: Memory) -> None:
    trip(memory)
    for command in ("show", "summary", "export"):
        refused = ltm("sessions", command, "trip", "--user", "ben")
        assert (refused.code, refused.out) == (1, "")
        assert "another user" in refused.err
    assert "ltm sessions" in ltm("sessions", "show", "unknown").err
    assert ltm("sessions", "list", "--user", "").code != 0


# Facts


def test_a_fact_is_added_changed_traced_and_deleted(ltm: Ltm) -> None:
    assert ltm("facts", "add", "theme", "dark").out == "theme = dark (version 1)\n"
    assert ltm("facts", "add", "theme", "light").out == "theme = light (version 2)\n"
    assert ltm("facts", "get", "theme").out == "light\n"
    assert [version["value"] for version in ltm("facts", "history", "theme", "--json").data] == ["dark", "light"]
    assert ltm("facts", "delete", "theme").code == 0
    assert "no fact 'theme'" in ltm("facts", "get", "theme").err
    assert "(deleted)" in ltm("facts", "history", "theme").out


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("dark", "dark"), ("3", 3), ('"3"', "3"), ('["a", {"b": null}]', ["a", {"b": None}]), ("NaN", "NaN"), ("{", "{")],
)
def test_a_value_is_json_where_it_is_json(ltm: Ltm, typed: str, stored: Any) -> None:
    ltm("facts", "add", "thing", typed)
    assert ltm("facts", "get", "thing", "--json").data["value"] == stored


def test_a_value_may_begin_with_a_dash_after_two_dashes(ltm: Ltm) -> None:
    assert ltm("facts", "add", "low", "--", "-5").code == 0
    assert ltm("facts", "get", "low").out == "-5\n"


def test_each_scope_has_facts_of_its_own(ltm: Ltm) -> None:
    owners = {"user": ["--user", "u"], "session": ["--session", "s"], "agent": ["--agent", "a"], "global": []}
    for scope, named in owners.items():
        assert ltm("facts", "add", "where", scope, "--scope", scope, *named).code == 0
    for scope, named in owners.items():
        assert ltm("facts", "get", "where", "--scope", scope, *named).out == f"{scope}\n"


def test_users_and_tenants_see_only_their_own(ltm: Ltm) -> None:
    ltm("facts", "add", "theme", "dark")
    assert ltm("facts", "list", "--user", "tom").out == "Nothing is remembered yet.\n"
    assert ltm("facts", "list", "--tenant", "other").out == "Nothing is remembered yet.\n"
    assert len(ltm("facts", "list", "--json").data) == 1


def test_what_is_remembered_cannot_steer_the_terminal(ltm: Ltm) -> None:
    ltm("facts", "add", "evil", "[red]x[/nothing] :smile: \x1b[31m\x07\x9b2J")
    for shown in (
        ltm("facts", "list"),
        ltm("facts", "get", "evil"),
        ltm("recall", "evil"),
        ltm("facts", "history", "evil"),
    ):
        assert shown.code == 0
        assert "[red]x[/nothing] :smile: ?[31m??2J" in shown.out


# Recall


def test_recall_finds_what_fits_best_first(ltm: Ltm) -> None:
    ltm("facts", "add", "theme", "dark")
    ltm("facts", "add", "tea", "oolong")
    assert [fact["key"] for fact in ltm("recall", "which tea?", "--json").data["facts"]] == ["tea", "theme"]
    assert len(ltm("recall", "which tea?", "--json", "--limit", "1").data["facts"]) == 1
    assert "match  " in ltm("recall", "which tea?", "--explain").out
    assert ltm("recall", "tea", "--user", "tom").out == "Nothing is remembered that fits.\n"


def test_recall_finds_messages_where_they_are_included(ltm: Ltm) -> None:
    ltm("ingest", write("talk.jsonl", lines({"content": "The boat to Ithaca leaves at nine."})))
    assert ltm("recall", "boat", "--json").data["messages"] == []
    found = ltm("recall", "boat", "--include", "messages", "--json").data["messages"]
    assert [message["content"] for message in found] == ["The boat to Ithaca leaves at nine."]


# Wrong calls


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (["bogus"], 2, "No such command"),
        (["facts", "lose"], 2, "lose"),
        (["facts", "add", "key"], 2, "VALUE"),
        (["facts", "add", "low", "-5"], 2, "-5"),
        (["facts", "get", "nothing"], 1, "no fact 'nothing'"),
        (["facts", "history", "nothing"], 1, "no fact 'nothing'"),
        (["facts", "delete", "nothing"], 1, "no fact 'nothing'"),
        (["facts", "get", ""], 1, "key"),
        (["facts", "list", "--scope", "agent"], 2, "--agent"),
        (["facts", "list", "--user", ""], 1, "empty"),
        (["facts", "list", "--db", "nowhere"], 1, "sqlite:///ltm.db"),
        (["facts", "list", "--db", "oracle://x"], 1, "oracle"),
        (["facts", "list", "--db", "sqlite:///missing/folder/x.db"], 1, "cannot be opened"),
        (["facts", "list", "--db", "sqlite:///text.jsonl"], 1, "not a SQLite database"),
        (["recall"], 2, "QUERY"),
        (["recall", "x", "--limit", "-1"], 2, "--limit"),
        (["recall", "x", "--include", "dreams"], 2, "--include"),
        (["jobs", "show", "nothing"], 1, "no job 'nothing'"),
        (["jobs", "retry", "nothing"], 1, "no job 'nothing'"),
        (["jobs", "drop", "nothing"], 1, "no job 'nothing'"),
        (["jobs", "undo", "nothing"], 1, "no job 'nothing'"),
        (["jobs", "list", "--status", "lost"], 2, "--status"),
        (["runs", "show", "nothing"], 1, "no run 'nothing'"),
        (["runs", "delete", "nothing"], 1, "no run 'nothing'"),
        (["ingest"], 2, "FILE"),
        (["ingest", "missing.jsonl"], 1, "No such file"),
        (["ingest", "."], 1, "Is a directory"),
    ],
)
def test_a_wrong_call_is_one_line_on_stderr(ltm: Ltm, call: list[str], code: int, said: str) -> None:
    write("text.jsonl", "this is not a database, and long enough to be looked at as one" * 20)
    outcome = ltm(*call)
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith("ltm: ")
    assert outcome.err.count("\n") == 1
    assert said in outcome.err


@pytest.mark.parametrize("call", [["facts", "list"], ["recall", "x"], ["chat"], ["ingest", "talk.jsonl"]])
def test_who_is_meant_must_be_said(ltm: Ltm, monkeypatch: pytest.MonkeyPatch, call: list[str]) -> None:
    monkeypatch.delenv("LTM_USER")
    write("talk.jsonl", lines({"content": "hello"}))
    outcome = ltm(*call)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "--user ID, or set LTM_USER" in outcome.err


def test_a_bug_is_told_without_a_traceback(ltm: Ltm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltm_core.cli.place.Memory", {}.__getitem__)
    outcome = ltm("facts", "list")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "This is a bug" in outcome.err


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main() == 1
    said = capsys.readouterr().err
    assert said == f"ltm: {package} is not installed. Install it with: pip install 'ltm-core[cli]'\n"


def test_help_and_version_need_no_database(ltm: Ltm) -> None:
    assert ltm("--version").out.startswith("ltm-core ")
    assert "ltm demo" in ltm().out
    assert "--speaker" in ltm("ingest", "--help").out
    assert not Path("ltm.db").exists()


def test_a_reader_who_leaves_early_is_no_error(ltm: Ltm) -> None:
    ltm("facts", "add", "theme", "dark")
    reading, writing = os.pipe()
    os.close(reading)
    listing = subprocess.run([sys.executable, "-m", "ltm_core.cli", "facts", "list"], stdout=writing, stderr=-1)
    os.close(writing)
    assert (listing.returncode, listing.stderr) == (1, b"")


# Jobs


def failing(given: Extracting) -> list[Candidate]:
    raise ValueError("no luck")


@pytest.fixture
def failed_job() -> str:
    with Memory(os.environ["LTM_DB"], background=False, extract=failing) as unlucky:
        job = unlucky.observe("I live in Lisbon.", user_id="sarah").id
        assert not unlucky.flush()
    assert job is not None
    return job


def test_runs_are_listed_shown_and_deleted(ltm: Ltm, memory: Memory) -> None:
    assert ltm("runs").out == "There are no runs.\n"
    for step, state in ((1, "packed"), (2, {"at": "\x1b[31mOslo"})):
        memory.checkpoints.save("trip-7", step, state, user_id="sarah")
    memory.checkpoints.save("import", 9, [], user_id="sarah")
    assert [(run["run_id"], run["step"]) for run in ltm("runs", "--json").data] == [("trip-7", 2), ("import", 9)]
    assert ltm("runs", "--user", "tom").out == "There are no runs.\n"
    assert "\x1b" not in ltm("runs").out
    assert [one["state"] for one in ltm("runs", "show", "trip-7", "--json").data] == ["packed", {"at": "\x1b[31mOslo"}]
    assert '"packed"' in ltm("runs", "show", "trip-7").out
    assert "belongs to another user" in ltm("runs", "show", "trip-7", "--user", "tom").err
    assert ltm("runs", "delete", "trip-7").out == "trip-7 is deleted.\n"
    assert [run["run_id"] for run in ltm("runs", "--json").data] == ["import"]


def test_jobs_are_listed_shown_retried_and_dropped(ltm: Ltm, failed_job: str) -> None:
    listed = ltm("jobs", "--json").data
    assert [(job["id"], job["status"], job["attempts"]) for job in listed] == [(failed_job, "waiting", 1)]
    assert "no luck" in ltm("jobs", "list", "--status", "waiting", "--json").data[0]["error"]
    assert failed_job in ltm("jobs", "list").out
    assert ltm("jobs", "list", "--status", "dead").out == "There are no such jobs.\n"
    assert ltm("jobs", "--user", "tom").out == "There are no such jobs.\n"
    assert "user: I live in Lisbon." in ltm("jobs", "show", failed_job).out
    assert "ADD location" in ltm("jobs", "retry", failed_job).out
    assert ltm("facts", "get", "location").out == "Lisbon\n"
    assert ltm("jobs", "drop", failed_job).code == 0
    assert ltm("jobs").out == "There are no such jobs.\n"


def test_a_job_is_undone_and_what_was_changed_since_is_told(ltm: Ltm, memory: Memory) -> None:
    memory.remember("My name is Sarah. I live in Lisbon.", user_id="sarah")
    (job,) = ltm("jobs", "--json").data
    assert job["undone"] is None
    ltm("facts", "add", "location", "Porto")
    undone = ltm("jobs", "undo", job["id"])
    assert undone.code == 0
    rows = [line.split(maxsplit=3) for line in undone.out.splitlines()]
    assert ["DELETE", "name", "Sarah", f"job {job['id']} is undone: it had added this"] in [
        [cell.strip() for cell in row] for row in rows
    ]
    assert rows[-2][:3] == ["left", "location", "Porto"]
    assert rows[-2][3].startswith("it was changed since, to version 2: written by hand")
    assert ltm("facts", "list", "--json").data[0]["value"] == "Porto"
    assert "undone 20" in ltm("jobs", "show", job["id"]).out
    again = ltm("jobs", "undo", job["id"])
    assert (again.code, again.out.count("\n")) == (0, 1)
    assert "Nothing was changed: undone at 20" in again.out
    report = ltm("jobs", "undo", job["id"], "--json").data
    assert (report["job_id"], report["updates"], len(report["left"])) == (job["id"], [], 1)


def test_a_job_that_waits_is_not_undone(ltm: Ltm, failed_job: str) -> None:
    undone = ltm("jobs", "undo", failed_job)
    assert (undone.code, undone.out, "still waits" in undone.err) == (1, "", True)


def dead_jobs(*users: str) -> None:
    with Memory(os.environ["LTM_DB"], background=False, extract=failing) as unlucky:
        for user in users:
            unlucky.observe("I live in Lisbon.", user_id=user)
        while unlucky.jobs.list("waiting"):
            unlucky.flush()


def test_all_dead_jobs_are_retried_at_once(ltm: Ltm, monkeypatch: pytest.MonkeyPatch) -> None:
    dead_jobs("sarah", "tom", "ben")
    assert [job["status"] for job in ltm("jobs", "retry", "--all", "--user", "tom", "--json").data] == ["done"]
    assert [job["subject"] for job in ltm("jobs", "--status", "dead", "--json").data] == ["user:sarah"]
    monkeypatch.delenv("LTM_USER")
    assert len(ltm("jobs", "--status", "dead", "--json").data) == 2
    retried = ltm("jobs", "retry", "--all")
    assert (retried.code, retried.out.count("ADD location")) == (0, 2)
    assert ltm("jobs", "retry", "--all").out == "There are no dead jobs.\n"


def test_a_retry_that_fails_again_is_told_by_the_exit_code(ltm: Ltm, monkeypatch: pytest.MonkeyPatch) -> None:
    dead_jobs("sarah")
    monkeypatch.setattr("ltm_core.assemble.extract_offline", failing)
    retried = ltm("jobs", "retry", "--all")
    assert (retried.code, "no luck" in retried.out, "waiting" in retried.out) == (1, True, True)


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (["show", "nothing"], 1, "There is no job 'nothing'. List them with memory.jobs.list() or `ltm jobs`."),
        (["retry", "nothing"], 1, "There is no job 'nothing'."),
        (["drop", "nothing"], 1, "There is no job 'nothing'."),
        (["retry"], 2, "It is not said which job. Pass its ID or --all."),
        (["retry", "nothing", "--all"], 2, "It is not said which job. Pass its ID or --all."),
        (["list", "--status", "late"], 2, "'late' is not one of"),
    ],
)
def test_a_job_that_is_not_there_is_told(ltm: Ltm, call: list[str], code: int, said: str) -> None:
    outcome = ltm("jobs", *call)
    assert (outcome.code, said in outcome.err, outcome.err.count("\n")) == (code, True, 1)


def test_what_is_learned_is_not_retried(ltm: Ltm, memory: Memory) -> None:
    memory.remember("I live in Lisbon.", user_id="sarah")
    (job,) = memory.jobs.list()
    assert "is learned already" in ltm("jobs", "retry", job.id).err


def test_what_is_not_learned_yet_is_recalled_as_it_was_said(ltm: Ltm, failed_job: str) -> None:
    shown = ltm("recall", "Where do I live?").out
    assert "not learned yet" in shown
    assert "I live in Lisbon." in shown


# Ingest


def test_a_conversation_is_stored_and_learned_once(ltm: Ltm, memory: Memory) -> None:
    file = write("talk.jsonl", lines({"content": "I live in Lisbon."}, {"role": "assistant", "content": "Lovely!"}))
    assert ltm("ingest", file).out.startswith("2 messages read, 2 stored; facts: 1 added, 0 updated, 0 deleted; ")
    assert ltm("ingest", file).out.startswith("2 messages read, 0 stored; facts: 0 added, 0 updated, 0 deleted; ")
    assert texts(memory, "sarah/talk") == ["I live in Lisbon.", "Lovely!"]
    assert ltm("facts", "get", "location").out == "Lisbon\n"


def test_of_a_file_that_grew_only_the_end_is_new(ltm: Ltm, memory: Memory) -> None:
    for size, stored in ((7, 7), (23, 16), (61, 38)):
        write("talk.jsonl", lines(*conversation(size)))
        assert f"{size} messages read, {stored} stored" in ltm("ingest", "talk.jsonl").out
    assert texts(memory, "sarah/talk") == [message["content"] for message in conversation(61)]


def test_a_json_list_a_byte_order_mark_and_stdin_are_read(ltm: Ltm, memory: Memory) -> None:
    told = [{"role": "user", "content": "A line\u2028and another."}, {"role": "assistant", "content": "So be it."}]
    expected = [message["content"] for message in told]
    ltm("ingest", write("list.json", json.dumps(told, indent=2)))
    ltm("ingest", write("bom.jsonl", "\ufeff" + "\r\n".join(json.dumps(one, ensure_ascii=False) for one in told)))
    ltm("ingest", "-", stdin=lines(*told))
    assert [texts(memory, f"sarah/{name}") for name in ("list", "bom", "stdin")] == [expected] * 3


def test_sessions_are_those_that_the_messages_name(ltm: Ltm, memory: Memory) -> None:
    told = [{"content": f"Remark {number}.", "metadata": {"session": number % 2}} for number in range(4)]
    ltm("ingest", write("talk.jsonl", lines(*told)))
    assert texts(memory, "sarah/talk/0") == ["Remark 0.", "Remark 2."]
    assert texts(memory, "sarah/talk/1") == ["Remark 1.", "Remark 3."]
    ltm("ingest", "talk.jsonl", "--session", "mine")
    assert len(texts(memory, "mine")) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no messages"),
        ("\n \n", "holds no messages"),
        ("[]", "holds no messages"),
        ('{"content": "a"}\n\n{"content": \n', "line 3: this is not JSON"),
        ('{"content": "a"}\nhello', "line 2: this is not JSON"),
        ('{"content": "a"}\n{"content": NaN}', "from line 2: this JSON cannot be read"),
        ('{"content": "a"}\n42', "line 2: this is no message"),
        ('{"role": "user"}', "line 1: this message has no content"),
        ('{"role": 7, "content": "a"}', "line 1: This message cannot be stored: role"),
        ('{"content": "a", "created_at": "soon"}', "line 1: This message cannot be stored: created_at"),
        ('[{"content": "a"},\n\n oops]', "line 3: this is not JSON"),
        ('[{"content": "a"}, "b"]', "message 2: this is no message"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_before_anything_is_stored(
    ltm: Ltm, memory: Memory, text: str, said: str
) -> None:
    outcome = ltm("ingest", write("timeline.jsonl", text))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert said in outcome.err
    assert texts(memory, "sarah/timeline") == []


def test_bytes_that_are_no_text_are_refused_with_their_line(ltm: Ltm) -> None:
    Path("talk.jsonl").write_bytes(b'{"content": "a"}\n{"content": "\xff"}\n')
    assert "talk.jsonl, line 2: this is not UTF-8 text" in ltm("ingest", "talk.jsonl").err


DIALOGUE = (
    {"role": "user", "name": "Ana", "content": "I live in Lisbon."},
    {"role": "user", "name": "Ben", "content": "I live in Oslo."},
)


def test_where_several_people_speak_it_must_be_said_who_the_user_is(ltm: Ltm, memory: Memory) -> None:
    write("talk.jsonl", lines(*DIALOGUE))
    assert "by Ana and Ben. Say with --speaker" in ltm("ingest", "talk.jsonl").err
    assert "by Ana and Ben. Say with --speaker" in ltm("ingest", "talk.jsonl", "--speaker", "Cleo").err
    assert ltm("ingest", "talk.jsonl", "--speaker", "Ben").code == 0
    assert ltm("facts", "get", "location").out == "Oslo\n"
    roles = [(message.role, message.name) for message in memory.sessions.get_messages("sarah/talk")]
    assert roles == [("assistant", "Ana"), ("user", "Ben")]


def test_one_dialogue_can_teach_about_each_of_its_speakers(ltm: Ltm) -> None:
    write("talk.jsonl", lines(*DIALOGUE))
    for user, place in (("ana", "Lisbon"), ("ben", "Oslo")):
        assert ltm("ingest", "talk.jsonl", "--user", user).code == 0
        assert ltm("facts", "get", "location", "--user", user).out == f"{place}\n"


def stored_messages() -> int:
    with closing(sqlite3.connect("ltm.db")) as database:
        try:
            return int(database.execute("SELECT count(*) FROM message").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


LONG = 600


def interrupted(signal_number: int) -> Outcome:
    """An ingest of a long conversation that gets the signal in the middle."""
    write("talk.jsonl", lines(*conversation(LONG)))
    started = process("ingest", "talk.jsonl")
    while not stored_messages() and started.poll() is None:
        pass
    started.send_signal(signal_number)
    return ended(started)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_an_ingest_that_was_stopped_in_the_middle_is_completed_by_the_next(
    ltm: Ltm, memory: Memory, signal_number: int
) -> None:
    stopped = interrupted(signal_number)
    assert 0 < stored_messages() < LONG
    if signal_number == signal.SIGINT:
        assert stopped.code == 130
        assert "Run it again to go on" in stopped.err
        assert stopped.err.count("\n") == 1
    assert f"{LONG} messages read, " in ltm("ingest", "talk.jsonl").out
    assert texts(memory, "sarah/talk") == [message["content"] for message in conversation(LONG)]
    turns = [job for job in ltm("jobs", "--json").data if not job.get("task")]  # a summary may wait
    assert {job["status"] for job in turns} == {"done"}


def test_two_ingests_of_one_file_at_once_store_it_once(ltm: Ltm, memory: Memory) -> None:
    told = [{"content": "I live in Lisbon."}, *conversation(120)]
    write("talk.jsonl", lines(*told))
    both = [process("ingest", "talk.jsonl") for _ in range(2)]
    assert [(outcome.code, outcome.err) for outcome in map(ended, both)] == [(0, "")] * 2
    assert texts(memory, "sarah/talk") == [message["content"] for message in told]
    assert len(ltm("facts", "history", "location", "--json").data) == 1


# Chat


def test_chat_answers_from_what_another_session_told(ltm: Ltm) -> None:
    assert ltm("chat", stdin="I live in Lisbon.\n").out == "Thank you, I will remember that.\n"
    assert ltm("chat", stdin="Where do I live?\n\nWhat is my car?\n").out == (
        "You live in Lisbon.\nI do not know that yet.\n"
    )
    assert "match  " in ltm("chat", "--verbose", stdin="Where do I live?\n").err
    assert ltm("chat", "--user", "tom", stdin="Where do I live?\n").out == "I do not know that yet.\n"


def test_chat_answers_from_what_was_said_a_moment_ago(ltm: Ltm, failed_job: str) -> None:
    with Memory(os.environ["LTM_DB"], background=False, extract=failing) as unlucky:
        from ltm_core.cli.agent import offline

        recalled = unlucky.recall("Where do I live?", user_id="sarah")
        assert offline("Where do I live?", recalled) == "You just told me: I live in Lisbon."


IN_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-m", "ltm_core.cli", *sys.argv[1:]])))
"""


@pytest.fixture
def terminal() -> Iterator[subprocess.Popen[str]]:
    """`ltm chat` in a terminal: our pipes are its keyboard and its screen."""
    command = [sys.executable, "-c", IN_A_TERMINAL, "chat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def seen(terminal: subprocess.Popen[str], awaited: str) -> str:
    """What the screen shows up to and with `awaited`."""
    assert terminal.stdout is not None
    shown = ""
    while not shown.endswith(awaited):
        char = terminal.stdout.read(1)
        assert char, f"the chat ended: {shown}"
        shown += char
    return shown


def press_until_it_ends(terminal: subprocess.Popen[str], key: str) -> None:
    """Python's readline misses a Ctrl-C in the instant between the prompt and its waiting for a key."""
    assert terminal.stdin is not None
    for _ in range(6):
        terminal.stdin.write(key)
        terminal.stdin.flush()
        with suppress(subprocess.TimeoutExpired):
            terminal.wait(timeout=10)
            return
    pytest.fail("the chat does not end")


@pytest.mark.parametrize("key", ["\x04", "\x03"])
def test_on_a_terminal_a_key_ends_the_chat_cleanly(terminal: subprocess.Popen[str], key: str, ltm: Ltm) -> None:
    seen(terminal, "you> ")
    assert terminal.stdin is not None
    terminal.stdin.write("I live in Lisbon.\n")
    terminal.stdin.flush()
    assert "Thank you, I will remember that." in seen(terminal, "that.\n") + seen(terminal, "you> ")
    press_until_it_ends(terminal, key)
    rest, _ = terminal.communicate()
    assert terminal.returncode == 0
    assert "Traceback" not in rest
    assert "ltm:" not in rest
    assert ltm("facts", "get", "location").out == "Lisbon\n"


def test_chat_by_a_model_that_cannot_be_reached_says_so(ltm: Ltm, monkeypatch: pytest.MonkeyPatch) -> None:
    def completion(model: str) -> Callable[[Any], str]:
        def complete(messages: Any) -> str:
            raise TimeoutError("nobody answers")

        return complete

    monkeypatch.setattr("ltm_core.llm.litellm_model.completion", completion)
    outcome = ltm("chat", "--model", "openai/none", stdin="Hello\n")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "ltm: openai/none did not answer: nobody answers. Check its name, key and connection.\n"


def test_chat_by_a_model_gives_it_the_memory_and_the_conversation(ltm: Ltm, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[dict[str, str]]] = []

    def completion(model: str) -> Callable[[Any], str]:
        def complete(messages: Any) -> str:
            asked.append(messages)
            return "{}"

        return complete

    monkeypatch.setattr("ltm_core.llm.litellm_model.completion", completion)
    ltm("facts", "add", "location", "Lisbon")
    ltm("chat", "--model", "openai/any", stdin="Hello\nWhere do I live?\n")
    answering = [messages for messages in asked if messages[-1]["content"] == "Where do I live?"]
    assert "User lives in Lisbon." in answering[0][0]["content"]
    assert [message["content"] for message in answering[0][1:]] == ["Hello", "{}", "Where do I live?"]


@pytest.mark.parametrize(
    ("stored", "spoken"),
    [
        ("User is called Sarah.", "You are called Sarah."),
        ("User goes by Sal.", "You go by Sal."),
        ("User watches birds.", "You watch birds."),
        ("User studies law.", "You study law."),
        ("User can swim.", "You can swim."),
        ("User has a pet: Rex.", "You have a pet: Rex."),
        ("User's sister lives in Oslo.", "Your sister lives in Oslo."),
        ("User, theme: dark.", "Your theme: dark."),
        ("Users differ.", "Users differ."),
    ],
)
def test_a_fact_is_said_to_the_person_it_is_about(stored: str, spoken: str) -> None:
    assert to_you(stored) == spoken


def test_facts_of_many_people_come_from_one_file(ltm: Ltm) -> None:
    given: list[dict[str, Any]] = [
        {"key": "city", "value": "Oslo", "tags": ["home"]},
        {"key": "city", "value": "Rome", "user_id": "tom"},
        {"key": "tone", "value": "brief", "agent_id": "bot"},
    ]
    file = write("facts.jsonl", lines(*given) + "\n\n")
    assert ltm("facts", "import", file).out.startswith("3 facts read, 3 new or changed; ")
    assert ltm("facts", "import", "-", stdin=lines(*given)).out.startswith("3 facts read, 0 new or changed; ")
    assert ltm("facts", "get", "city").out == "Oslo\n"
    assert ltm("facts", "get", "city", "--user", "tom").out == "Rome\n"
    assert ltm("facts", "get", "tone", "--scope", "agent", "--agent", "bot").out == "brief\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"key": "a", "value": 1}\n{"key": "b"', "facts.jsonl, line 2: this is not JSON"),
        ("[1]", "facts.jsonl, line 1: this is no fact"),
        ('{"key": "a"}', "Fact 1 has no 'value'. Give each a key and a value."),
        ('{"key": "a", "value": NaN}', "NaN is not JSON"),
        ('{"key": "a", "value": 1, "user_id": ""}', "Fact 1: "),
    ],
)
def test_a_bad_line_is_named(ltm: Ltm, text: str, said: str) -> None:
    outcome = ltm("facts", "import", write("facts.jsonl", text))
    assert outcome.code == 1
    assert said in outcome.err


def test_facts_that_name_nobody_are_refused_without_a_user(ltm: Ltm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LTM_USER")
    outcome = ltm("facts", "import", write("facts.jsonl", lines({"key": "city", "value": "Oslo"})))
    assert (outcome.code, "Fact 1: " in outcome.err, "user_id" in outcome.err) == (1, True, True)


# copy, migrate


def whole(url: str) -> list[tuple[str, Any]]:
    with Memory(url, background=False) as memory:
        return [(fact.key, fact.value) for fact in memory.facts.get_all(scope_id="sarah")]


def test_a_memory_is_copied_once_and_compared(ltm: Ltm, memory: Memory) -> None:
    memory.facts.add("city", "Oslo", scope_id="sarah")
    memory.facts.add("city", "Rome", scope_id="sarah")
    source, target = os.environ["LTM_DB"], "sqlite:///other.db"
    first = ltm("copy", source, target)
    assert (first.code, first.err) == (0, "")
    assert first.out == (
        "2 records copied, 0 there already. Compared and alike for 1 people and sessions: 1 fact, 1 version.\n"
    )
    assert ltm("copy", source, target).out.startswith("0 records copied, 2 there already.")
    assert whole(target) == whole(source) == [("city", "Rome")]


def test_a_target_with_other_data_takes_merge(ltm: Ltm, memory: Memory) -> None:
    memory.facts.add("city", "Oslo", scope_id="sarah")
    with Memory("sqlite:///other.db", background=False) as other:
        other.facts.add("pet", "rex", scope_id="sarah")
    refused = ltm("copy", os.environ["LTM_DB"], "sqlite:///other.db")
    assert refused.code == 1
    assert "The target holds other data" in refused.err
    assert refused.err.count("\n") == 1
    assert whole("sqlite:///other.db") == [("pet", "rex")]
    assert ltm("copy", "--merge", os.environ["LTM_DB"], "sqlite:///other.db").code == 0
    assert sorted(whole("sqlite:///other.db")) == [("city", "Oslo"), ("pet", "rex")]


@pytest.mark.parametrize("source", ["sqlite:///none.db", "none.db", "sqlite+aiosqlite:///none.db"])
def test_a_source_that_is_not_there_is_not_made(ltm: Ltm, source: str) -> None:
    outcome = ltm("copy", source, "sqlite:///other.db")
    assert (outcome.code, outcome.err) == (
        1,
        "ltm: There is no file none.db to copy from. Check the URL of the source.\n",
    )
    assert not Path("none.db").exists()
    assert not Path("other.db").exists()


@pytest.mark.parametrize("target", ["what://x", "other", "sqlite://other.db"])
def test_a_wrong_target_says_what_to_write(ltm: Ltm, memory: Memory, target: str) -> None:
    memory.facts.add("city", "Oslo", scope_id="sarah")
    outcome = ltm("copy", os.environ["LTM_DB"], target)
    assert outcome.code == 1
    assert "sqlite:///" in outcome.err


def test_a_memory_is_not_copied_onto_itself(ltm: Ltm, memory: Memory) -> None:
    memory.facts.add("city", "Oslo", scope_id="sarah")
    assert "are the same. Name two" in ltm("copy", os.environ["LTM_DB"], os.environ["LTM_DB"]).err


def test_a_copy_that_is_interrupted_says_so_and_goes_on_the_next_time(tmp_path: Path) -> None:
    source, target = (f"sqlite:///{tmp_path}/{name}.db" for name in ("from", "to"))
    with Memory(source, background=False) as memory:
        memory.facts.add_many(
            {"key": f"k{number}", "value": number, "scope_id": str(number % 50)} for number in range(2000)
        )
    copying = process("copy", source, target)
    while not reached(tmp_path / "to.db"):
        assert copying.poll() is None
    copying.send_signal(signal.SIGINT)
    stopped = ended(copying)
    assert stopped.code == 130
    assert "Run it again: it goes on from there." in stopped.err
    assert stopped.err.count("\n") == 1
    finished = ended(process("copy", source, target))
    assert finished.code == 0
    assert not finished.out.startswith("2000 records copied, 0 there")
    assert finished.out.endswith("Compared and alike for 50 people and sessions: 2000 fact.\n")


def reached(file: Path) -> bool:
    """Whether a copy has written anything yet."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return bool(database.execute("SELECT count(*) FROM fact").fetchone()[0])
    return False


def test_migrate_shows_the_schema_and_brings_it_up_to_date(ltm: Ltm) -> None:
    checked = ltm("migrate", "--check", "sqlite:///new.db")
    assert checked.code == 1
    assert checked.out.startswith("Schema none yet; this version of ltm-core needs ")
    assert checked.out.endswith("It is not up to date. Run: ltm migrate sqlite:///new.db\n")
    assert not Path("new.db").exists()
    assert "\nMigrated to " in ltm("migrate", "sqlite:///new.db").out
    again = ltm("migrate", "sqlite:///new.db")
    assert (again.code, again.out.endswith("It is up to date.\n")) == (0, True)


def test_migrate_makes_what_postgres_alone_can_have(ltm: Ltm, one_postgres_url: str) -> None:
    made = ltm("migrate", one_postgres_url, "--partitions", "2", "--row-security", "postgres")
    assert (made.code, made.err) == (0, "")
    later = ltm("migrate", one_postgres_url, "--vector-index", "text-embedding-3-small", "256")
    assert (later.code, later.err) == (0, "")
    refused = ltm("migrate", one_postgres_url, "--partitions", "3")
    assert (refused.code, "have 2 partitions" in refused.err) == (1, True)
    assert ltm("migrate", "sqlite:///new.db", "--partitions", "2").code == 1


@pytest.mark.parametrize("url", ["memory://", "what://x", "sqlite:///none/new.db"])
def test_migrate_says_what_is_wrong_with_a_url(ltm: Ltm, url: str) -> None:
    outcome = ltm("migrate", url)
    assert outcome.code == 1
    assert outcome.err.startswith("ltm: ")
    assert outcome.err.count("\n") == 1


def test_migrate_refuses_a_schema_of_the_future(ltm: Ltm, memory: Memory) -> None:
    memory.facts.add("city", "Oslo", scope_id="sarah")
    memory.close()
    with closing(sqlite3.connect("ltm.db")) as database, database:
        database.execute("UPDATE ltm_version SET version_num = '9999'")
    outcome = ltm("migrate", os.environ["LTM_DB"])
    assert outcome.code == 1
    assert "Upgrade ltm-core" in outcome.err
