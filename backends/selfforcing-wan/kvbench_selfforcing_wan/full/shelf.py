"""Where weight files are: a folder that the user names, or the Hugging Face cache."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.presets import TEXT_ENCODER, TOKENIZER, VAE, HubFile

VARIABLE = "KVBENCH_WEIGHTS"
"""Names a folder that is searched before the Hugging Face cache."""
DIFFUSERS_REPO = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
CONFIG = "config.json"


@frozen
class Shelf:
    """Folders that are searched in order."""

    folders: tuple[Path, ...]
    use_cache: bool

    @classmethod
    def of(cls, choice: Path | None) -> Shelf:
        """The user's folder alone; without one, ``$KVBENCH_WEIGHTS`` and the cache.

        Raises:
            BackendError: a folder that was named does not exist.
        """
        named = os.environ.get(VARIABLE) if choice is None else str(choice)
        folders = () if not named else (Path(named).expanduser(),)
        for folder in folders:
            if not folder.is_dir():
                rule = "auto, synthetic or a folder" if choice else "a folder, where it is set"
                raise BackendError(
                    f"there is no folder of weights {folder}; "
                    f"{'--weights' if choice else f'${VARIABLE}'} is {rule}"
                )
        return cls(folders, use_cache=choice is None)

    def find(self, file: HubFile) -> Path | None:
        """The file, in a folder with or without the repository's own folders, or in the cache."""
        for folder in self.folders:
            for inside in (file.path, file.name, f"{file.repo.rpartition('/')[2]}/{file.path}"):
                if (folder / inside).is_file():
                    return folder / inside
        return self._cached(file.repo, file.path)

    def find_folder(self, name: str) -> Path | None:
        """A model's folder in the library's format, such as ``vae``."""
        for folder in self.folders:
            if (folder / name / CONFIG).is_file():
                return folder / name
        config = self._cached(DIFFUSERS_REPO, f"{name}/{CONFIG}")
        return config.parent if config else None

    def _cached(self, repo: str, path: str) -> Path | None:
        if not self.use_cache:
            return None
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return None
        found = try_to_load_from_cache(repo, path)
        return Path(found) if isinstance(found, str) else None

    def missing(self, files: Sequence[HubFile]) -> list[HubFile]:
        """Those that are neither here nor replaced by a folder in the library's format."""
        return [file for file in files if self.find(file) is None and not self._replaced(file)]

    def require(self, name: str, files: Sequence[HubFile]) -> None:
        """Refuse to go on without all files of the backend ``name``.

        Raises:
            BackendError: naming what is missing, where it was looked for and how to get it.
        """
        if missing := self.missing(files):
            into = "" if self.use_cache else f" --to {self.places()}"
            raise BackendError(
                f"{name} needs {sizes(missing)}, not found in {self.places()}; get them with "
                f"`kvbench weights fetch {name}{into}`, or use --weights synthetic"
            )

    def _replaced(self, file: HubFile) -> bool:
        if file is VAE:
            return self.find_folder("vae") is not None
        if file is TEXT_ENCODER:
            return self.find_folder("text_encoder") is not None
        return file in TOKENIZER and self.tokenizer() is not None

    def tokenizer(self) -> Path | None:
        """The tokenizer's folder."""
        found = self.find(TOKENIZER[0])
        if found is not None:
            return found.parent
        for folder in self.folders:
            if (folder / "tokenizer" / TOKENIZER[0].name).is_file():
                return folder / "tokenizer"
        cached = self._cached(DIFFUSERS_REPO, f"tokenizer/{TOKENIZER[0].name}")
        return cached.parent if cached else None

    def places(self) -> str:
        """Where :meth:`find` looks, in words."""
        return " and ".join(self._places())

    def _places(self) -> Iterator[str]:
        yield from map(str, self.folders)
        if self.use_cache:
            if not self.folders:
                yield f"${VARIABLE} (not set)"
            yield "the Hugging Face cache"


def sizes(files: Sequence[HubFile]) -> str:
    """File names with their sizes, as far as they are known; the tokenizer is one thing."""
    named = (
        "the tokenizer"
        if file in TOKENIZER
        else file.name + (f" ({gb(file.bytes)})" if file.bytes else "")
        for file in files
    )
    return ", ".join(dict.fromkeys(named))


def gb(size: int) -> str:
    """Decimal gigabytes, as download pages count."""
    return f"{size / 1e9:.1f} GB"
