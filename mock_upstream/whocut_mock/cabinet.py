"""Files that callers have uploaded, and those that the mock has written for them; within a bound, for a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from whocut_mock import errors
from whocut_mock.clock import ModelClock
from whocut_mock.dice import Dice

MONTH_S = 30 * 86_400.0
_FILES_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One file; `taken` is called with the evidence of a complete download."""

    id: str
    filename: str
    purpose: str
    content: Callable[[], bytes]
    size_bytes: int
    created: int
    expires_s: float | None
    key_hash: str | None
    taken: Callable[[str], None] = lambda _: None


@dataclass
class Cabinet:
    """All files of a mock, each there for its key; `most_bytes` bounds what was uploaded."""

    clock: ModelClock
    most_bytes: int
    _files: dict[str, Kept] = field(default_factory=dict)
    _held_bytes: int = 0
    _made: int = 0

    def put(
        self,
        *,
        filename: str,
        purpose: str,
        content: bytes | Callable[[], bytes],
        size_bytes: int,
        key_hash: str | None,
        kept_s: float | None = None,
        taken: Callable[[str], None] = lambda _: None,
    ) -> Kept:
        """Keep a file. One that is written as it is read is no burden; `size_bytes` is what it will have.

        Raises:
            ApiError: there is no room for it.
        """
        held_bytes = len(content) if isinstance(content, bytes) else 0
        self._drop_expired()
        if self._held_bytes + held_bytes > self.most_bytes or len(self._files) >= _FILES_MOST:
            raise errors.no_room_for_files(self.most_bytes)
        self._made += 1
        now_s = self.clock.now_s()
        kept = Kept(
            id=f"file-{Dice(b'file').hex(str(self._made), 22)}",
            filename=filename,
            purpose=purpose,
            content=(lambda: content) if isinstance(content, bytes) else content,
            size_bytes=size_bytes,
            created=self.clock.unix_s(),
            expires_s=None if kept_s is None else now_s + kept_s,
            key_hash=key_hash,
            taken=taken,
        )
        self._files[kept.id] = kept
        self._held_bytes += held_bytes
        return kept

    def find(self, file_id: str, key_hash: str | None) -> Kept | None:
        """The file of this id, if this key has it."""
        self._drop_expired()
        kept = self._files.get(file_id)
        return kept if kept is not None and kept.key_hash == key_hash else None

    def all(self, key_hash: str | None) -> list[Kept]:
        """The files of this key, the newest first."""
        self._drop_expired()
        return [kept for kept in reversed(self._files.values()) if kept.key_hash == key_hash]

    def remove(self, kept: Kept) -> None:
        """Keep it no more."""
        del self._files[kept.id]
        if kept.purpose != "batch_output":
            self._held_bytes -= kept.size_bytes

    def clear(self) -> None:
        """Keep nothing."""
        self._files.clear()
        self._held_bytes = 0

    def _drop_expired(self) -> None:
        now_s = self.clock.now_s()
        for kept in list(self._files.values()):
            if kept.expires_s is not None and now_s >= kept.expires_s:
                self.remove(kept)
