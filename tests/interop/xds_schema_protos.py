#!/usr/bin/env python3
"""Holds xds/proto against the public API as PyPI's xds-protos has it (run with programs.find_xds_python()).

Argument: the descriptor set of the build.  Each difference is a line: what has another name, number, type, label or
oneof, and fields and values that ours lack.  What that package lacks, which is of an older API than ours, begins with
"newer:".  The last line is what was looked at.  pillion.Refused stands for any message.
"""

import importlib
import pkgutil
import sys

import envoy
import udpa
import xds
from google.protobuf import descriptor_pb2, descriptor_pool

OURS_ALONE = ("pillion", "google.protobuf")
Field = descriptor_pb2.FieldDescriptorProto


def load_api():
    """Every module of the package, so that the default pool has all messages."""
    for package in (envoy, udpa, xds):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("_pb2"):
                importlib.import_module(module.name)
    return descriptor_pool.Default()


class Comparison:
    def __init__(self, pool):
        self.pool = pool
        self.messages = self.fields = self.values = 0

    def find(self, name, lookup):
        try:
            return lookup(name)
        except KeyError:
            print("newer:", name)
            return None

    def enum(self, scope, ours):
        name = f"{scope}.{ours.name}"
        theirs = self.find(name, self.pool.FindEnumTypeByName)
        if theirs is None:
            return
        their_values = {(value.name, value.number) for value in theirs.values}
        our_values = {(value.name, value.number) for value in ours.value}
        self.values += len(our_values)
        their_numbers = {number for _, number in their_values}
        for value in sorted(our_values - their_values):
            if value[1] in their_numbers:
                print(name, *value, "is another value in the API")
                continue
            print("newer:", name, *value)
        for value in sorted(their_values - our_values):
            print(name, "lacks the value", *value)

    def field(self, name, message, ours, theirs):
        self.fields += 1
        # As a .proto file has it, whatever the version of the library calls its properties.
        api = descriptor_pb2.DescriptorProto()
        theirs.containing_type.CopyToProto(api)
        their = next(field for field in api.field if field.number == ours.number)
        for what in ("name", "label", "type", "proto3_optional"):
            if getattr(ours, what) != getattr(their, what):
                print(name, "is of another", what, "in the API:", getattr(their, what))
        if ours.type_name not in (".pillion.Refused", their.type_name):
            print(name, "is of type", their.type_name, "in the API")
        if self.oneof(message, ours) != self.oneof(api, their):
            print(name, "belongs to another oneof in the API:", self.oneof(api, their))

    @staticmethod
    def oneof(message, field):
        return message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""

    def message(self, scope, ours):
        if ours.options.map_entry:
            return
        name = f"{scope}.{ours.name}"
        theirs = self.find(name, self.pool.FindMessageTypeByName)
        if theirs is None:
            return
        self.messages += 1
        known = {field.number for field in ours.field}
        for field in ours.field:
            their = theirs.fields_by_number.get(field.number)
            if their is None:
                print("newer:", f"{name}.{field.name}")
            else:
                self.field(f"{name}.{field.name}", ours, field, their)
        for field in theirs.fields:
            if field.number not in known:
                print(name, "lacks", field.name, field.number)
        for nested in ours.nested_type:
            self.message(name, nested)
        for nested in ours.enum_type:
            self.enum(name, nested)


def main():
    ours = descriptor_pb2.FileDescriptorSet()
    with open(sys.argv[1], "rb") as file:
        ours.ParseFromString(file.read())
    comparison = Comparison(load_api())
    for file in ours.file:
        if file.package in OURS_ALONE or file.package == "google.rpc":
            continue
        for message in file.message_type:
            comparison.message(file.package, message)
        for enum in file.enum_type:
            comparison.enum(file.package, enum)
    print("looked at", comparison.messages, "messages", comparison.fields, "fields", comparison.values, "values")


if __name__ == "__main__":
    main()
