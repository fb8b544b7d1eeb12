"""Make `docs/reference/grpc.md` from the comments of the contract."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

PROTO = Path(__file__).resolve().parent
PAGE = PROTO.parent / "docs" / "reference" / "grpc.md"
FILES = ("control", "queue", "pipelines", "instruments", "data", "catalogue", "types")
OPENING = (PROTO / "opening.md").read_text()
LABELS = {
    pb.FieldDescriptorProto.TYPE_DOUBLE: "double",
    pb.FieldDescriptorProto.TYPE_INT64: "int64",
    pb.FieldDescriptorProto.TYPE_UINT64: "uint64",
    pb.FieldDescriptorProto.TYPE_UINT32: "uint32",
    pb.FieldDescriptorProto.TYPE_SFIXED64: "sfixed64",
    pb.FieldDescriptorProto.TYPE_BOOL: "bool",
    pb.FieldDescriptorProto.TYPE_STRING: "string",
    pb.FieldDescriptorProto.TYPE_BYTES: "bytes",
}
MESSAGES, ENUMS, SERVICES = 4, 5, 6  # field numbers of FileDescriptorProto


class Comments:
    """The comments of one file, by the path of what they belong to."""

    def __init__(self, file: pb.FileDescriptorProto) -> None:
        self._found = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}

    def of(self, *path: int) -> str:
        """A comment on one line."""
        return " ".join(self._found.get(path, "").split())


def read_contract() -> dict[str, pb.FileDescriptorProto]:
    """The files of the contract by name."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}"]
        options = [f"--descriptor_set_out={out}", "--include_source_info"]
        sources = [f"ringdaq/v1/{name}.proto" for name in FILES]
        subprocess.run([*command, *options, *sources], cwd=PROTO, check=True)
        found = pb.FileDescriptorSet.FromString(out.read_bytes())
    return {Path(file.name).stem: file for file in found.file}


def type_of(field: pb.FieldDescriptorProto, message: pb.DescriptorProto) -> str:
    """A field's type as the contract writes it, own types as links."""
    base = LABELS.get(field.type) or link(field.type_name)
    for entry in message.nested_type:
        if entry.options.map_entry and field.type_name.endswith(f".{entry.name}"):
            return f"map of string to {type_of(entry.field[1], entry)}"
    if field.label == field.LABEL_REPEATED:
        return f"repeated {base}"
    return f"optional {base}" if field.proto3_optional else base


def link(type_name: str) -> str:
    """A link to where a type is described."""
    short = type_name.rpartition(".")[2]
    return f"[{short}](#{short.lower()})"


def services(file: pb.FileDescriptorProto, comments: Comments) -> Iterator[str]:
    """The services of a file."""
    for i, service in enumerate(file.service):
        yield f"## {service.name}\n\n{comments.of(SERVICES, i)}\n"
        for j, method in enumerate(service.method):
            answer = f"{'stream of ' if method.server_streaming else ''}{link(method.output_type)}"
            yield f"### {service.name}.{method.name}\n"
            yield f"{link(method.input_type)} → {answer}\n\n{comments.of(SERVICES, i, 2, j)}\n"


def messages(file: pb.FileDescriptorProto, comments: Comments) -> Iterator[str]:
    """The messages of a file."""
    for i, message in enumerate(file.message_type):
        yield f"### {message.name}\n\n{comments.of(MESSAGES, i)}\n"
        if message.field:
            rows = (
                f"| {f.number} | `{f.name}` | {type_of(f, message)} | "
                f"{comments.of(MESSAGES, i, 2, j)} |"
                for j, f in enumerate(message.field)
            )
            yield "\n".join(["| | field | type | meaning |", "| --- | --- | --- | --- |", *rows])
            yield ""


def enums(file: pb.FileDescriptorProto, comments: Comments) -> Iterator[str]:
    """The enums of a file."""
    for i, enum in enumerate(file.enum_type):
        rows = (
            f"| {value.number} | `{value.name}` | {comments.of(ENUMS, i, 2, j)} |"
            for j, value in enumerate(enum.value)
        )
        table = "\n".join(["| | value | meaning |", "| --- | --- | --- |", *rows])
        yield f"### {enum.name}\n\n{comments.of(ENUMS, i)}\n\n{table}\n"


def page() -> str:
    """The whole page."""
    contract = read_contract()
    files = [(contract[name], Comments(contract[name])) for name in FILES]
    parts = [OPENING]
    for file, comments in files:
        parts += services(file, comments)
    parts.append("## Messages\n")
    for file, comments in files:
        parts += [*messages(file, comments), *enums(file, comments)]
    return "\n".join(parts).rstrip() + "\n"
