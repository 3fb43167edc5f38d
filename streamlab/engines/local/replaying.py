"""Dead letters looked at, sent again, and kept as test cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.engines.local.row_letters import is_row
from streamlab.errors import UsageError
from streamlab.pipelines import Pipeline
from streamlab.settings import Settings, made_state_folder
from streamlab.sinks import DeadLetter
from streamlab.taps.sample import Sample


@dataclass(frozen=True, slots=True)
class Kept:
    """The dead letters of one pipeline, one for each distinct origin.

    Attributes:
        pipeline: Whose they are.
        letters: The letters; of an event that was set aside twice, the last one.
        replayed: Origins that were sent again before.
    """

    pipeline: Pipeline
    letters: Sequence[DeadLetter]
    replayed: frozenset[str]

    @classmethod
    def of(cls, pipeline: Pipeline) -> Kept:
        """Read them from where the pipeline keeps them.

        Raises:
            UsageError: There is something else.
            Unavailable: The broker does not answer.
        """
        distinct = {origin(letter): letter for letter in _all(pipeline)}
        marks = _marks(pipeline)
        lines = marks.read_text(encoding="utf-8").split() if marks.exists() else []
        return cls(pipeline, list(distinct.values()), frozenset(lines))

    def chosen(
        self,
        *,
        code: str = "",
        at: str = "",
        again: bool = False,
        events: bool = False,
    ) -> list[DeadLetter]:
        """Return some of the letters.

        Args:
            code: Only this kind.
            at: Only this origin, ``topic/partition@position``.
            again: Also those that were sent again before.
            events: Only events, not rows that a pipeline with state has set aside.
        """
        return [
            letter
            for letter in self.letters
            if code in {"", letter.code}
            and at in {"", origin(letter)}
            and (again or origin(letter) not in self.replayed)
            and not (events and is_row(letter))
        ]

    def sample(
        self,
        letters: Sequence[DeadLetter],
        *,
        into: Sample | None = None,
        values: Mapping[str, bytes] | None = None,
    ) -> Sample:
        """Return events of dead letters as a sample, to test the pipeline with.

        They are read with the pipeline's schema as it is now, and so is what they are
        added to: what decodes since the schema was mended is an event, what still does
        not stays a rejected value. Personal data is masked.

        Args:
            letters: The letters, all of one topic.
            into: What to add them to; a new sample if left out.
            values: Origin → corrected value.

        Raises:
            UsageError: There are none, or they are not of the sample's topic.
        """
        if not letters and (into is None or len(self.pipeline.inputs) > 1):
            raise UsageError("there are no such dead letters to keep")
        topic = letters[0].topic if letters else ""
        stream = self.pipeline.input_of(topic)
        if into is None:
            into = Sample.empty(
                topic,
                stream.schema,
                format=stream.format,
                format_options=stream.format_options,
            )
        anew = into.with_schema(stream.schema)
        return anew.with_letters(letters, values, profile=stream.context.profile)

    def replay(self, letters: Sequence[DeadLetter], *, topic: str = "") -> int:
        """Send events again, as they were, and remember that.

        Args:
            letters: The letters.
            topic: Where to; the topic that each came from without one.

        Returns:
            How many were sent.

        Raises:
            UsageError: The pipeline does not read Kafka, and no topic is named.
            Unavailable: The broker does not answer; what was sent is remembered.
        """
        from streamlab.connectors.kafka.dead_letter_topic import send_again

        by_topic: dict[str, list[DeadLetter]] = {}
        for letter in letters:
            by_topic.setdefault(topic or letter.topic, []).append(letter)
        for target, group in by_topic.items():
            source = self.pipeline.source_of(group[0].topic)
            profile = getattr(source, "profile", "")
            send_again(group, target, profile)
            self._remember(group)
        return len(letters)

    def _remember(self, letters: Sequence[DeadLetter]) -> None:
        path = _marks(self.pipeline)
        made_state_folder(path.parent.parent)
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{origin(letter)}\n" for letter in letters)


def origin(letter: DeadLetter) -> str:
    """Return ``topic/partition@position``, which is what a dead letter is known by."""
    return f"{letter.topic}/{letter.partition}@{letter.position}".replace(" ", "")


def letters_file(pipeline: Pipeline) -> Path | None:
    """Return the file of a pipeline's dead letters; None if they are on a topic.

    The worker of an installed package writes it into its working directory, and the
    package's folder, by which a person names the pipeline, has none then.
    """
    file = pipeline.dead_letters.file
    if file is None:
        return None
    beside = pipeline.folder / file
    if beside.exists() or not beside.is_relative_to(pipeline.folder):
        return beside
    here = Path.cwd() / beside.relative_to(pipeline.folder)
    return here if here.exists() else beside


def _all(pipeline: Pipeline) -> Iterator[DeadLetter]:
    policy = pipeline.dead_letters
    file = letters_file(pipeline)
    if file is not None:
        return DeadLetterFile(file).read()
    if policy.topic is None:
        message = f"pipeline {pipeline.name!r} keeps no dead letters"
        raise UsageError(message)
    from streamlab.connectors.kafka.dead_letter_topic import read

    return read(policy.topic, policy.profile)


def _marks(pipeline: Pipeline) -> Path:
    return Settings.load().state_folder / "replayed" / f"{pipeline.name}.txt"
