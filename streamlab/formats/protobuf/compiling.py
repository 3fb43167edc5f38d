"""The text of a ``.proto`` file to descriptors, by the compiler of Protobuf itself.

A registry gives the file's text, or (where a Python serializer registered it) the
compiled file in base64. The compiler runs as a process of its own: what it is given
comes from elsewhere, and it says on its own output what it does not like.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/serdes-protobuf.html
"""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.resources
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

MAIN = "streamlab_main.proto"
PATIENCE_S = 30.0
_KNOWN = "google/protobuf/"


class NotProto(ValueError):
    """What is registered is no ``.proto`` file; the text says why."""


def compiled(text: str, references: Mapping[str, str]) -> FileDescriptor:
    """Return the descriptor of a file.

    Args:
        text: The file, as the registry has it.
        references: Import path → file, those needed first.

    Raises:
        NotProto: It is none, or uses what is not there.
    """
    files = {**references, MAIN: text}
    protos = {name: _proto(name, file) for name, file in files.items()}
    missing = [name for name, proto in protos.items() if proto is None]
    found: Sequence[Any] = [one for one in protos.values() if one is not None]
    if missing and found:
        raise NotProto("some of its files are compiled and some are text")
    if missing:
        found = _compiled_texts(files)
    pool = DescriptorPool()
    try:
        for proto in found:
            _add(pool, proto)
        return pool.FindFileByName(MAIN)
    except (TypeError, KeyError, ImportError) as error:
        raise NotProto("it uses what is not there") from error


def message(file: FileDescriptor, indexes: Sequence[int]) -> Descriptor | None:
    """Return the message of a path of indexes; None where there is none."""
    found: Descriptor | None = None
    inside = list(file.message_types_by_name.values())
    for index in indexes:
        if not 0 <= index < len(inside):
            return None
        found = inside[index]
        inside = list(found.nested_types)
    return found


def _proto(name: str, file: str) -> descriptor_pb2.FileDescriptorProto | None:
    """Return a file that is compiled already; None for a text."""
    try:
        raw = base64.b64decode(file, validate=True)
        proto = descriptor_pb2.FileDescriptorProto.FromString(raw)
    except (binascii.Error, ValueError, DecodeError):
        return None
    proto.name = name
    return proto


def _compiled_texts(
    files: Mapping[str, str],
) -> Sequence[descriptor_pb2.FileDescriptorProto]:
    """Return all files and what they import, those needed first."""
    with tempfile.TemporaryDirectory(prefix="streamlab-proto-") as folder:
        for name, text in files.items():
            path = Path(folder, _inside(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        output = Path(folder, "descriptors")
        included = importlib.resources.files("grpc_tools").joinpath("_proto")
        command = [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            *(f"-I{folder}", f"-I{included}", "--include_imports"),
            *(f"--descriptor_set_out={output}", MAIN),
        ]
        try:
            said = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired as error:
            raise NotProto("it takes too long to compile") from error
        if said.returncode:
            complaint = said.stderr.strip().partition("\n")[0]
            first = complaint.replace(f"{folder}/", "").removeprefix(f"{MAIN}:")
            raise NotProto(f"it does not compile: {first}")
        found = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
    return list(found.file)


def _inside(name: str) -> PurePosixPath:
    """Return an import path that cannot lead out of its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise NotProto("the name of a file that it uses leads elsewhere")
    return path


def _add(pool: DescriptorPool, proto: descriptor_pb2.FileDescriptorProto) -> None:
    """Add a file, and before it those of Protobuf's own that it uses."""
    for name in proto.dependency:
        if not name.startswith(_KNOWN):
            continue
        try:
            pool.FindFileByName(name)
        except KeyError:
            module = name.removesuffix(".proto").replace("/", ".")
            known = importlib.import_module(f"{module}_pb2").DESCRIPTOR
            _add(
                pool, descriptor_pb2.FileDescriptorProto.FromString(known.serialized_pb)
            )
    pool.AddSerializedFile(proto.SerializeToString())
