"""What a version's tag says, which entries are still to be told, and what waits for how long."""

from datetime import UTC, datetime, timedelta

import pytest
from modelvane.engine.memory import HistoryEntry, Memory, Outcome
from modelvane.engine.state import Key
from modelvane.registry.outbox import LONGEST_RETRY, Outbox, Receipt
from modelvane.registry.writeback import LONGEST_MESSAGE, Note, Tag, build_note
from modelvane.spec import ModelDeploymentSpec, ModelPointer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
IRIS = "default: models:/iris/Production"
SPEC = ModelDeploymentSpec(model=ModelPointer(name="iris", stage="Production"), write_back="Tags")
WHO = Key("ModelDeployment", "shop", "flowers")


def entry(
    minute: int, version: str, outcome: Outcome, message: str = "why", pointer: str | None = IRIS
) -> HistoryEntry:
    at = NOON + timedelta(minutes=minute)
    return HistoryEntry(
        version=version, pointer=pointer, started_at=at, finished_at=at, outcome=outcome, message=message
    )


def tags(*oldest_first: HistoryEntry, done: datetime | None = None, spec: ModelDeploymentSpec = SPEC) -> dict[str, str]:
    note = build_note("shop", "flowers", spec, Memory(history=oldest_first[::-1], written_back=done))
    return {f"{tag.model} {tag.version}": tag.value for tag in note.tags} if note else {}


def test_a_tag_is_named_after_the_deployment_and_starts_with_outcome_and_time() -> None:
    note = build_note("shop", "flowers", SPEC, Memory(history=(entry(0, "3", "RolledBack", "ModelLoadFailed: no"),)))
    value = "RolledBack 2026-11-23T12:00:00Z ModelLoadFailed: no"
    assert note == Note((Tag("iris", "3", "modelvane.shop.flowers", value),), NOON)


def test_a_version_that_was_replaced_says_so() -> None:
    assert tags(entry(0, "1", "Promoted", "the first version"), entry(5, "2", "Promoted", "in place of version 1")) == {
        "iris 1": "Replaced 2026-11-23T12:05:00Z by version 2",
        "iris 2": "Promoted 2026-11-23T12:05:00Z in place of version 1",
    }


def test_a_new_pod_template_replaces_no_version() -> None:
    told = tags(entry(0, "1", "Promoted"), entry(5, "1", "Promoted", "with a new pod template"))
    assert told == {"iris 1": "Promoted 2026-11-23T12:05:00Z with a new pod template"}


def test_the_newest_entry_about_a_version_counts() -> None:
    told = tags(entry(0, "2", "RolledBack"), entry(1, "3", "Superseded"), entry(2, "2", "Promoted"))
    assert told == {"iris 2": "Promoted 2026-11-23T12:02:00Z why", "iris 3": "Superseded 2026-11-23T12:01:00Z why"}


def test_what_was_written_is_not_written_again() -> None:
    history = (entry(0, "1", "Promoted"), entry(1, "2", "Aborted"), entry(2, "3", "Promoted"))
    assert tags(*history, done=NOON + timedelta(minutes=2)) == {}
    assert set(tags(*history, done=NOON + timedelta(minutes=1))) == {"iris 1", "iris 3"}
    assert set(tags(*history, done=NOON)) == {"iris 1", "iris 2", "iris 3"}


def test_nothing_is_written_unless_asked() -> None:
    assert tags(entry(0, "1", "Promoted"), spec=SPEC.model_copy(update={"write_back": "None"})) == {}


@pytest.mark.parametrize(
    ("pointer", "model"),
    [
        ("default: models:/rose/Production", "rose"),
        ("default: models:/rose@champion", "rose"),
        ("default: models:/r@se/Production", "r@se"),
        ("default: models:/r@se@champion", "r@se"),
        ("default: models:/rose/3", "rose"),
        (None, "iris"),
    ],
)
def test_a_tag_goes_onto_the_model_that_the_rollout_was_about(pointer: str | None, model: str) -> None:
    assert set(tags(entry(0, "3", "Superseded", pointer=pointer))) == {f"{model} 3"}


def test_a_change_of_the_model_replaces_the_version_of_the_other_one() -> None:
    told = tags(entry(0, "3", "Promoted", pointer="default: models:/rose/Production"), entry(1, "3", "Promoted"))
    assert told["rose 3"] == "Replaced 2026-11-23T12:01:00Z by version 3 of model iris"


def test_what_another_registry_holds_is_left_alone() -> None:
    assert tags(entry(0, "3", "Promoted", pointer="old: models:/iris/Production")) == {}
    told = tags(entry(0, "3", "Promoted", pointer="old: models:/iris/Production"), entry(1, "4", "Promoted"))
    assert set(told) == {"iris 4"}


def test_a_long_reason_is_cut_and_kept_on_one_line() -> None:
    value = tags(entry(0, "1", "RolledBack", "line\n" * 1000))["iris 1"]
    assert "\n" not in value
    assert len(value) <= LONGEST_MESSAGE + 40
    assert value.endswith("...")


NOTE = Note((Tag("iris", "1", "key", "value"),), NOON)
SETTLED = NOON + timedelta(seconds=1)


def test_a_note_is_due_when_no_other_entry_can_have_its_second() -> None:
    outbox = Outbox()
    assert outbox.put(WHO, NOTE) is None
    assert outbox.due(NOON) is None
    assert outbox.next_due(NOON) == timedelta(seconds=1)
    assert outbox.due(SETTLED) == (WHO, NOTE)


def test_a_note_that_was_written_is_due_no_more_and_says_so() -> None:
    outbox = Outbox()
    outbox.put(WHO, NOTE)
    assert outbox.wrote(WHO, NOTE)
    assert outbox.due(SETTLED) is None
    assert outbox.next_due(SETTLED) is None
    assert outbox.put(WHO, NOTE) == Receipt(written=True)


def test_a_note_that_was_overtaken_while_it_was_written_does_not_count() -> None:
    outbox = Outbox()
    newer = Note(NOTE.tags, NOON + timedelta(minutes=1))
    outbox.put(WHO, NOTE)
    outbox.put(WHO, newer)
    assert not outbox.wrote(WHO, NOTE)
    assert outbox.put(WHO, newer) == Receipt()


def test_a_note_that_cannot_be_written_waits_longer_each_time_and_never_for_good() -> None:
    outbox = Outbox()
    outbox.put(WHO, NOTE)
    now, waits = SETTLED, []
    for _ in range(10):
        assert not outbox.failed(WHO, NOTE, now)
        waits.append(outbox.next_due(now) or timedelta(0))
        now += waits[-1]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] == LONGEST_RETRY
    assert outbox.due(now) == (WHO, NOTE)


def test_a_refusal_is_told_once_and_tried_again() -> None:
    outbox = Outbox()
    outbox.put(WHO, NOTE)
    assert outbox.failed(WHO, NOTE, SETTLED, "not allowed")
    assert outbox.put(WHO, NOTE) == Receipt(refusal="not allowed")
    assert outbox.put(WHO, NOTE) == Receipt()
    assert not outbox.failed(WHO, NOTE, SETTLED, "not allowed")
    assert outbox.put(WHO, NOTE) == Receipt()
    assert outbox.due(SETTLED + LONGEST_RETRY) == (WHO, NOTE)


def test_a_deployment_that_is_gone_has_nothing_to_write() -> None:
    outbox = Outbox()
    outbox.put(WHO, NOTE)
    outbox.take_back(WHO)
    assert outbox.due(SETTLED) is None
    assert not outbox.wrote(WHO, NOTE)
