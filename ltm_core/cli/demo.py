"""`ltm demo`: a memory at work in real processes, and every promise checked. The agents are those of `ltm chat`."""

from __future__ import annotations

import signal
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import Memory
from . import show
from .place import Place
from .stage import Story

TENANT = "demo"
MOST_JOBS = 10_000

INTRODUCTION = (
    "Hi, my name is Sarah and I work as a nurse.",
    "I live in Lisbon and I love hiking.",
    "I prefer dark mode.",
)
QUESTIONS = {
    "What is my name and where do I live?": ("Sarah", "Lisbon"),
    "What is my job?": ("nurse",),
    "What do I love to do?": ("hiking",),
    "Which mode do I prefer?": ("dark",),
}
FIRST_QUESTION = next(iter(QUESTIONS))
CHANGE = "Actually, I prefer light mode now."
CHANGED = "preference#ui_theme"


def demonstrate(db: str | None = None) -> int:
    """Tell the story in `db`, or in a database that is thrown away. Returns 1 if anything was not as promised."""
    with TemporaryDirectory(prefix="ltm-demo-") as folder:
        place = Place(db=db or f"sqlite:///{Path(folder) / 'demo.db'}", tenant=TENANT)
        place.memory().close()  # a URL that is wrong is refused here, rather than by each process
        story = Story(place, Path(folder))
        story.tell(f"The memory is kept in {place.db}")
        _told_and_killed(story)
        _remembered(story)
        _changed_and_kept_apart(story)
        _looked_into(story)
    return story.end()


def _told_and_killed(story: Story) -> None:
    story.chapter("Sarah tells an agent who she is, and its process is killed")
    with story.agent("sarah") as agent, story.place.memory() as memory:
        answers = [agent.hear(sentence) for sentence in INTRODUCTION]
        ended = agent.kill()
        jobs = memory.jobs.list(user_id="sarah", limit=MOST_JOBS)
    story.tell(f"Killed process {agent.pid} with SIGKILL right after its answer.")
    story.expect("Every sentence was answered", holds=all(answers))
    story.expect("The process had no chance to tidy up", holds=ended == -signal.SIGKILL)
    told = [job for job in jobs if job.session_id == agent.session]
    waiting = [job for job in told if job.status == "waiting"]
    story.tell(f"Of {len(told)} turns that it wrote down, {len(waiting)} were not learned yet when it died.")
    story.expect("No turn is lost", holds=len(told) == len(INTRODUCTION))


def _remembered(story: Story) -> None:
    story.chapter("Another process, another session: it learns what was left, and remembers")
    with story.agent("sarah") as agent:
        answers = {question: agent.hear(question) for question in QUESTIONS}
    for question, words in QUESTIONS.items():
        story.expect(f"It knew: {', '.join(words)}", holds=all(word in answers[question] for word in words))


def _changed_and_kept_apart(story: Story) -> None:
    story.chapter("Sarah changes her mind, while Tom asks what she asked")
    with story.agent("sarah") as sarah, story.agent("tom") as tom:
        sarah.hear(CHANGE)
        answer = tom.hear(FIRST_QUESTION)
    secrets = [word for words in QUESTIONS.values() for word in words]
    story.expect("Tom learns nothing about Sarah", holds=bool(answer) and not any(word in answer for word in secrets))


def _looked_into(story: Story) -> None:
    story.chapter("What is stored")
    with story.place.memory() as memory:
        _show_facts(story, memory)
        _show_history(story, memory)
        _show_ranking(story, memory)
        _show_jobs(story, memory)


def _show_facts(story: Story, memory: Memory) -> None:
    story.tell("Sarah's facts:")
    story.console.print(show.facts_table(memory.facts.get_all(scope_id="sarah")))
    story.expect("Nothing is known about Tom", holds=not memory.facts.get_all(scope_id="tom"))


def _show_history(story: Story, memory: Memory) -> None:
    versions = memory.facts.history(CHANGED, scope_id="sarah")
    story.tell(f"The history of {CHANGED}: the old value is closed, not lost.")
    story.console.print(show.history_table(versions))
    values = [version.value for version in versions]
    story.expect("It was dark, and is light since she said so", holds=values[-2:] == ["dark", "light"])


def _show_ranking(story: Story, memory: Memory) -> None:
    story.tell(f"What {FIRST_QUESTION!r} recalls, and how each score is made up:")
    recalled = memory.recall(FIRST_QUESTION, user_id="sarah", limit=3)
    story.console.print(show.parts_table(recalled.facts))
    best = {fact.key for fact in recalled.facts}
    story.expect("Name and home are among the best", holds={"name", "location"} <= best)


def _show_jobs(story: Story, memory: Memory) -> None:
    jobs = memory.jobs.list(limit=MOST_JOBS)
    story.tell("The turns that were told, and what was learned from each:")
    story.console.print(show.jobs_table(jobs))
    story.expect(
        "Every turn is learned, also those of the killed process", holds={job.status for job in jobs} == {"done"}
    )
