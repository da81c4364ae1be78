"""What waits to be written to one registry: the newest note of each ModelDeployment, and when to try which again.

It does no I/O. The poller asks it what is due after each reading that went well, so a registry that is away is not
asked to be written to, and a rollout never waits for a tag.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelvane.engine.state import Key
from modelvane.queue import backoff
from modelvane.registry.writeback import Note

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=5)


@dataclass(frozen=True)
class Receipt:
    """What became of a note. A refusal is told once; it is tried again all the same."""

    written: bool = False
    refusal: str | None = None


@dataclass
class _Letter:
    note: Note
    due: datetime
    failures: int = 0
    written: bool = False
    refusal: str | None = None
    told: bool = False


class Outbox:
    """The notes for one registry."""

    def __init__(self) -> None:
        self._letters: dict[Key, _Letter] = {}

    def put(self, who: Key, note: Note) -> Receipt | None:
        """Take a note and say what became of it; None means that it is a new one."""
        letter = self._letters.get(who)
        if letter is None or letter.note != note:
            self._letters[who] = _Letter(note, due=note.settled)
            return None
        refusal = None if letter.told else letter.refusal
        letter.told = letter.told or refusal is not None
        return Receipt(letter.written, refusal)

    def take_back(self, who: Key) -> None:
        """Forget the note of a ModelDeployment that has none, or is gone."""
        self._letters.pop(who, None)

    def next_due(self, now: datetime) -> timedelta | None:
        """Say how long until there is something to write, if there is."""
        waiting = [letter.due for letter in self._letters.values() if not letter.written]
        return max(min(waiting) - now, timedelta(0)) if waiting else None

    def due(self, now: datetime) -> tuple[Key, Note] | None:
        """Return the note that has been due the longest."""
        waiting = [(letter.due, who) for who, letter in self._letters.items() if not letter.written]
        due, who = min(waiting, key=lambda each: each[0], default=(now, None))
        return (who, self._letters[who].note) if who is not None and due <= now else None

    def wrote(self, who: Key, note: Note) -> bool:
        """Take down that a note was written, and say whether it still was the newest."""
        letter = self._letters.get(who)
        if letter is None or letter.note != note:
            return False
        letter.written = True
        return True

    def failed(self, who: Key, note: Note, now: datetime, refusal: str | None = None) -> bool:
        """Take down that a note could not be written, and say whether that is a refusal nobody knows of yet."""
        letter = self._letters.get(who)
        if letter is None or letter.note != note:
            return False
        letter.failures += 1
        letter.due = now + backoff(letter.failures, FIRST_RETRY, LONGEST_RETRY, jitter=0)
        is_news = refusal is not None and letter.refusal is None
        letter.refusal = letter.refusal or refusal
        return is_news
