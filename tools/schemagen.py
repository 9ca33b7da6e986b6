#!/usr/bin/env python3
"""Turns schema/*.api into the tables and the typed views of src/api (see src/api/schema.h and src/api/view.h).

usage: schemagen.py OUTPUT_DIR SCHEMA_FILE...

Writes OUTPUT_DIR/schema_data.cc and one OUTPUT_DIR/<group>_<version>.h a schema file. The notation of the schema files
is described in docs/recipes/add-a-kind.md. Files are only rewritten when their content changes.
"""
import json
import os
import re
import sys
from dataclasses import dataclass, field

ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
SCALARS = {
    "string": ("kString", "string"), "bool": ("kBool", "bool"), "int32": ("kInt32", "int32"),
    "int64": ("kInt64", "int64"), "float64": ("kDouble", "float64"), "bytes": ("kBytes", "[]uint8"),
    "Quantity": ("kQuantity", "resource.Quantity"), "IntOrString": ("kIntOrString", "intstr.IntOrString"),
    "Time": ("kTime", "v1.Time"), "MicroTime": ("kMicroTime", "v1.MicroTime"), "Duration": ("kDuration", "v1.Duration"),
    "RawExtension": ("kRaw", "runtime.RawExtension"), "FieldsV1": ("kRaw", "v1.FieldsV1"),
    "Any": ("kRaw", "interface {}"), "JSON": ("kRaw", "v1.JSON"),
    "UID": ("kString", "types.UID"),
}
# Either a message of the type, or something else.
UNIONS = {"JSONSchemaPropsOrArray": ("kMessageOrList", "JSONSchemaProps"),
          "JSONSchemaPropsOrBool": ("kMessageOrBool", "JSONSchemaProps"),
          "JSONSchemaPropsOrStringArray": ("kMessageOrStrings", "JSONSchemaProps")}
# Views give these as the bare value.
RAW_KINDS = {"kRaw"} | {kind for kind, _ in UNIONS.values()}
KEYWORDS = {"default", "continue", "operator", "namespace", "class", "template", "static", "delete", "new", "for",
            "int", "public", "private", "protected", "switch", "case", "union", "export", "import", "register",
            "volatile", "not", "enum", "bool"}
MARKERS = {"omitempty": "kOmitEmpty", "omitzero": "kOmitZero", "optional": "kOptional", "required": "kRequired",
           "mapType=atomic": "kMapAtomic", "structType=atomic": "kMapAtomic"}
KNOWN_VALUED = {"patchStrategy", "patchMergeKey", "listType", "listMapKey", "mapType", "structType", "default",
                "featureGate", "oneOf", "format", "minimum", "maximum"}


class SchemaError(Exception):
    pass


@dataclass
class Field:
    name: str
    number: int
    type_text: str
    markers: list
    doc: str
    where: str
    inline: bool = False
    # resolved
    kind: str = ""
    shape: str = "kSingle"
    message: object = None
    go_type: str = ""
    enum: tuple = ()
    flags: list = field(default_factory=list)
    values: dict = field(default_factory=dict)


@dataclass
class Message:
    name: str
    package: object
    markers: list
    doc: str
    fields: list = field(default_factory=list)
    resource: dict = None
    index: int = 0

    def is_root(self):
        return any(f.inline and f.message and f.message.name == "TypeMeta" for f in self.fields)


@dataclass
class Alias:
    name: str
    target: str
    package: object
    enum: bool
    values: tuple


@dataclass
class Package:
    name: str = ""
    group: str = ""
    version: str = ""
    openapi: str = ""
    types: dict = field(default_factory=dict)
    aliases: dict = field(default_factory=dict)

    def cpp(self):
        return self.name.replace("/", "_")

    def go(self):
        return self.name.split("/")[-1]


def split_doc(line):
    text, _, doc = line.partition(" -- ")
    return text.rstrip(), doc.strip()


def parse_resource(text, where):
    words = text.split()
    out = {"plural": words[0], "singular": "", "short": [], "categories": [], "scope": "namespaced", "verbs": ALL_VERBS,
           "subresources": []}
    for word in words[1:]:
        key, _, value = word.partition("=")
        if key not in out:
            raise SchemaError(f"{where}: unknown resource property {key}")
        out[key] = value if key in ("singular", "scope") else value.split(",")
    return out


def parse_field(line, doc, where):
    words = line.split()
    if len(words) < 3:
        raise SchemaError(f"{where}: a field needs a name, a number and a type")
    name, number, type_text = words[:3]
    return Field(name="" if name == "(inline)" else name, number=0 if number == "-" else int(number),
                 type_text=type_text, markers=words[3:], doc=doc, where=where, inline=name == "(inline)")


def parse(path):
    package = Package()
    message = None
    with open(path, encoding="utf-8") as lines:
        for at, raw in enumerate(lines, 1):
            where = f"{path}:{at}"
            line, doc = split_doc(raw.rstrip("\n"))
            if not line.strip() or line.startswith("#"):
                continue
            words = line.split()
            if line.startswith("type "):
                message = Message(words[1], package, words[2:], doc)
                if message.name in package.types:
                    raise SchemaError(f"{where}: type {message.name} is there twice")
                package.types[message.name] = message
            elif line.startswith("alias "):
                found = re.match(r"alias (\w+) (\S+)( enum)?(?: =(.*))?$", line)
                if not found:
                    raise SchemaError(f"{where}: not an alias: {line}")
                values = tuple(v.strip().replace('""', "") for v in (found[4] or "").split("|")) if found[4] else ()
                package.aliases[found[1]] = Alias(found[1], found[2], package, bool(found[3]), values)
            elif not line.startswith(" "):
                if words[0] not in ("package", "group", "version", "openapi"):
                    raise SchemaError(f"{where}: unknown line: {line}")
                value = words[1].strip('"') if len(words) > 1 else ""
                setattr(package, {"package": "name"}.get(words[0], words[0]), value)
            elif message is None:
                raise SchemaError(f"{where}: a field outside a type")
            elif words[0] == "resource" and not words[1].isdigit():
                message.resource = parse_resource(line.strip()[len("resource "):], where)
            elif words == ["kind"]:
                message.resource = {"plural": "", "singular": "", "short": [], "categories": [], "scope": "namespaced",
                                    "verbs": [], "subresources": []}
            else:
                message.fields.append(parse_field(line, doc, where))
    return package


def flatten(message):
    """The message's fields with inlined structs opened up, as they stand in JSON."""
    for f in message.fields:
        if f.inline:
            yield from flatten(f.message)
        else:
            yield f


class Resolver:
    def __init__(self, packages):
        self.packages = {p.name: p for p in packages}

    def lookup(self, name, package, where):
        if "/" in name:
            package_name, _, name = name.rpartition(".")
            package = self.packages.get(package_name)
            if package is None:
                raise SchemaError(f"{where}: unknown package {package_name}")
        if name in package.types:
            return package.types[name]
        if name in package.aliases:
            return package.aliases[name]
        raise SchemaError(f"{where}: unknown type {name}")

    def resolve(self, f, package):
        text = f.type_text
        if text.startswith("*"):
            f.flags.append("kPointer")
            text = text[1:]
        f.go_type = self.element(f, text, package, "")
        for marker in f.markers:
            if marker in MARKERS:
                f.flags.append(MARKERS[marker])
                continue
            if marker == "unionDiscriminator":
                continue
            key, eq, value = marker.partition("=")
            if not eq or key not in KNOWN_VALUED:
                raise SchemaError(f"{f.where}: unknown marker {marker}")
            f.values[key] = value
        if f.inline:
            f.flags.append("kInline")
        strategy = f.values.get("patchStrategy", "").split(",")
        for word, flag in (("merge", "kPatchMerge"), ("replace", "kPatchReplace"), ("retainKeys", "kPatchRetainKeys")):
            if word in strategy:
                f.flags.append(flag)
        if f.message and f.shape == "kSingle" and "structType=atomic" in f.message.markers:
            if f.values.get("structType") != "granular" and "kMapAtomic" not in f.flags:
                f.flags.append("kMapAtomic")
        if "default" in f.values:
            json.loads(f.values["default"])

    def element(self, f, text, package, prefix):
        """Resolves a type text into kind, shape, message and enum; gives what Go calls the type."""
        if text.startswith("[]"):
            if f.shape == "kMap":
                f.flags.append("kWrapped")
            else:
                f.shape = "kList"
            return "[]" + self.element(f, text[2:], package, prefix)
        found = re.match(r"map\[([\w/.]+)\](.*)$", text)
        if found:
            f.shape = "kMap"
            key = found[1]
            if key != "string":
                key = package.go() + "." + key
            return f"map[{key}]" + self.element(f, found[2], package, prefix)
        if text in SCALARS:
            f.kind, go = SCALARS[text]
            return go
        if text in UNIONS:
            f.kind, name = UNIONS[text]
            f.message = self.lookup(name, package, f.where)
            return package.go() + "." + text
        target = self.lookup(text, package, f.where)
        if isinstance(target, Message):
            f.kind, f.message = "kMessage", target
            return target.package.go() + "." + target.name
        named = target.package.go() + "." + target.name
        if target.enum:
            f.enum = target.values
        if target.target.startswith("[]") and f.shape == "kSingle":
            f.flags.append("kWrapped")
        self.element(f, target.target, target.package, prefix)
        return named


def quote(text):
    out = []
    for byte in text.encode("utf-8"):
        ch = chr(byte)
        if ch in '"\\':
            out.append("\\" + ch)
        elif 32 <= byte < 127:
            out.append(ch)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


class Tables:
    """schema_data.cc."""

    def __init__(self, packages):
        self.packages = packages
        self.lists = {}
        self.messages = [m for p in packages for m in p.types.values()]
        for index, message in enumerate(self.messages):
            message.index = index

    def strings(self, values):
        values = tuple(values)
        if not values:
            return "{}"
        return self.lists.setdefault(values, f"kList{len(self.lists)}")

    def field(self, f):
        flags = " | ".join(f"{n}" for n in dict.fromkeys(f.flags)) or "0"
        list_type = {"": "kNone", "atomic": "kAtomic", "set": "kSet", "map": "kMap"}[f.values.get("listType", "")]
        keys = f.values.get("listMapKey", "")
        message = f"&kTypes[{f.message.index}]" if f.message else "nullptr"
        return (f"    {{{quote(f.name)}, {f.number}, FieldType::{f.kind}, Shape::{f.shape}, {flags}, "
                f"ListType::{list_type}, {message}, {quote(f.values.get('patchMergeKey', ''))}, "
                f"{self.strings(keys.split(',') if keys else ())}, {self.strings(f.enum)}, "
                f"{quote(f.values.get('default', ''))}, {quote(f.values.get('featureGate', ''))}, "
                f"{quote(f.go_type)}, {quote(f.doc)}}},")

    def kinds(self):
        """Served kinds first, then those that only appear inside requests and answers."""
        all_kinds = [m for m in self.messages if m.resource]
        return [m for m in all_kinds if m.resource["plural"]], [m for m in all_kinds if not m.resource["plural"]]

    def kind(self, m):
        r = m.resource
        p = m.package
        stored = m.package.types.get(m.name + "List")
        list_type = f"&kTypes[{stored.index}]" if stored and r["plural"] and r["verbs"] != ["create"] else "nullptr"
        status = "true" if "status" in r["subresources"] else "false"
        namespaced = "true" if r["scope"] == "namespaced" else "false"
        api_version = f"{p.group}/{p.version}" if p.group else p.version
        return (f"    {{{quote(p.group)}, {quote(p.version)}, {quote(m.name)}, {quote(r['plural'])}, "
                f"{quote(r['singular'] or m.name.lower())}, {self.strings(r['short'])}, "
                f"{self.strings(r['categories'])}, {namespaced}, {status}, {self.strings(r['verbs'])}, "
                f"{self.strings(r['subresources'])}, &kTypes[{m.index}], {list_type}, {quote(api_version)}}},")

    def text(self):
        fields = []
        types = []
        flat = []
        place = {}
        for m in self.messages:
            for f in m.fields:
                place[id(f)] = len(place)
        for m in self.messages:
            start = len(fields)
            fields.extend(self.field(f) for f in m.fields)
            span = f"{{kFields + {start}, {len(m.fields)}}}" if m.fields else "{}"
            own = [f"kFields + {place[id(f)]}" for f in flatten(m)]
            flat_span = f"{{kFieldLists + {len(flat)}, {len(own)}}}" if own else "{}"
            flat.extend(own)
            wire = [f"kFields + {place[id(f)]}" for f in sorted(m.fields, key=lambda f: f.number) if f.number > 0]
            wire_span = f"{{kFieldLists + {len(flat)}, {len(wire)}}}" if wire else "{}"
            flat.extend(wire)
            types.append(f"    {{{quote(m.name)}, {quote(m.package.name)}, {quote(m.package.openapi + '.' + m.name)}, "
                         f"{span}, {flat_span}, {wire_span}, {quote(m.doc)}, {'true' if m.is_root() else 'false'}, "
                         f"{'true' if 'structType=atomic' in m.markers else 'false'}}},")
        served, others = self.kinds()
        kinds = [self.kind(m) for m in served + others]
        packages = []
        for p in self.packages:
            own = list(p.types.values())
            if own:
                packages.append(f"    {{{quote(p.name)}, {quote(p.group)}, {quote(p.version)}, "
                                f"{{kTypes + {own[0].index}, {len(own)}}}}},")
        lists = [f"constexpr std::string_view {name}[] = {{{', '.join(quote(v) for v in values)}}};"
                 for values, name in self.lists.items()]
        flag_names = sorted({flag for m in self.messages for f in m.fields for flag in f.flags})
        flags = [f"constexpr auto {n} = static_cast<uint16_t>(FieldFlag::{n});" for n in flag_names]
        # The loose `|` below is uint16_t's, which promotes to int: every Field narrows it back in one place.
        return "\n".join([
            "// Generated by tools/schemagen.py from schema/*.api. Do not edit.", "",
            '#include "api/schema_data.h"', "", "namespace knarr::api::detail {", "", "namespace {", "", *lists, *flags,
            # With the bounds known, addresses in the tables are constants: nothing runs at start-up.
            "}  // namespace", "",
            f"extern const Type kTypes[{len(types)}];", f"extern const Field kFields[{len(fields)}];",
            f"constinit const Field kFields[{len(fields)}] = {{", *fields,
            "};", f"static constinit const Field* const kFieldLists[{len(flat)}] = {{{', '.join(flat)}}};",
            f"constinit const Type kTypes[{len(types)}] = {{", *types, "};",
            f"constinit const KindInfo kKinds[{len(kinds)}] = {{", *kinds, "};",
            f"const size_t kServedKinds = {len(served)};",
            f"const size_t kKindCount = {len(kinds)};",
            f"constinit const Package kPackages[{len(packages)}] = {{", *packages, "};",
            f"const size_t kPackageCount = {len(packages)};", "", "}  // namespace knarr::api::detail", ""])


def snake(name):
    name = re.sub(r"([A-Z]{2,})s(?![a-z])", lambda m: m[1].capitalize() + "s", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return name.lower().replace("$", "").replace("-", "_")


def getter(name):
    if name == "namespace":
        return "ns"
    out = snake(name)
    return out + "_" if out in KEYWORDS else out


class Views:
    """<group>_<version>.h: for each message a reading and a writing class."""

    def __init__(self, package, kind_index):
        self.package = package
        self.kind_index = kind_index
        self.includes = set()
        self.later = []

    def name_of(self, message):
        if message.package is self.package:
            return message.name
        self.includes.add(message.package.cpp())
        return message.package.cpp() + "::" + message.name

    def reader(self, cls, f):
        name = getter(f.name)
        text = f'"{f.name}"'
        pointer = "kPointer" in f.flags
        if f.shape == "kList":
            item = {"kInt32": "int32_t", "kInt64": "int64_t", **dict.fromkeys(RAW_KINDS, "RawView")}.get(
                f.kind, "std::string_view")
            if f.kind == "kMessage":
                item = self.name_of(f.message)
            return [f"  ListView<{item}> {name}() const {{ return Elements<{item}>({text}); }}"]
        if f.shape == "kMap":
            if f.kind in ("kString", "kQuantity", "kBytes", "kTime") and "kWrapped" not in f.flags:
                return [f"  StringMap {name}() const {{ return StringMap(Member({text})); }}"]
            return [f"  const doc::Value& {name}() const {{ return Member({text}); }}"]
        if f.kind == "kMessage":
            target = self.name_of(f.message)
            self.later.append(f"inline {target} {cls}::{name}() const {{ return {target}(Member({text})); }}")
            return [f"  inline {target} {name}() const;",
                    f"  bool has_{name.rstrip('_')}() const {{ return Has({text}); }}"]
        if f.kind == "kIntOrString":
            kind = "std::optional<IntOrString>" if pointer else "IntOrString"
            read = "OptIntOrString" if pointer else "ReadIntOrString"
            return [f"  {kind} {name}() const {{ return {read}({text}); }}"]
        if f.kind in ("kTime", "kMicroTime"):
            return [f"  std::optional<WallTime> {name}() const {{ return ReadTime({text}); }}"]
        if f.kind in RAW_KINDS:
            return [f"  const doc::Value& {name}() const {{ return Member({text}); }}"]
        plain = {"kBool": ("bool", "Bool"), "kInt32": ("int32_t", "Int32"), "kInt64": ("int64_t", "Int64"),
                 "kDouble": ("double", "Double")}.get(f.kind, ("std::string_view", "String"))
        if pointer:
            return [f"  std::optional<{plain[0]}> {name}() const {{ return Opt{plain[1]}({text}); }}"]
        return [f"  {plain[0]} {name}() const {{ return Read{plain[1]}({text}); }}"]

    def writer(self, cls, f):
        name = getter(f.name)
        bare = name.rstrip("_")
        text = f'"{f.name}"'
        out = []
        if f.shape == "kList":
            if f.kind == "kMessage":
                target = self.name_of(f.message) + "Edit"
                out.append(f"  ItemsEdit<{target}> {name}() const {{ return ItemsEdit<{target}>(Target({text})); }}")
                self.later.append(f"inline {target} {cls}Edit::add_{bare}() const {{ return {name}().Add(); }}")
                out.append(f"  inline {target} add_{bare}() const;")
            elif f.kind in ("kInt32", "kInt64"):
                out.append(f"  {cls}Edit& add_{bare}(int64_t v) {{ AppendInt({text}, v); return *this; }}")
            elif f.kind in RAW_KINDS:
                out.append(f"  {cls}Edit& add_{bare}(const doc::Value& v) {{ AppendRaw({text}, v); return *this; }}")
            else:
                out.append(f"  {cls}Edit& add_{bare}(std::string_view v) {{ AppendString({text}, v); return *this; }}")
        elif f.shape == "kMap":
            if f.kind in ("kString", "kQuantity", "kBytes", "kTime") and "kWrapped" not in f.flags:
                out.append(f"  {cls}Edit& put_{bare}(std::string_view key, std::string_view v) "
                           f"{{ PutString({text}, key, v); return *this; }}")
                out.append(f"  {cls}Edit& remove_{bare}(std::string_view key) "
                           f"{{ RemoveKey({text}, key); return *this; }}")
            else:
                out.append(f"  {cls}Edit& set_{bare}(const doc::Value& v) {{ SetRaw({text}, v); return *this; }}")
        elif f.kind == "kMessage":
            target = self.name_of(f.message) + "Edit"
            out.append(f"  inline {target} {name}() const;")
            self.later.append(f"inline {target} {cls}Edit::{name}() const {{ return {target}(Target({text})); }}")
        elif f.kind == "kIntOrString":
            out.append(f"  {cls}Edit& set_{bare}(int32_t v) {{ SetInt({text}, v); return *this; }}")
            out.append(f"  {cls}Edit& set_{bare}(std::string_view v) {{ SetString({text}, v); return *this; }}")
        elif f.kind in ("kTime", "kMicroTime"):
            micro = "true" if f.kind == "kMicroTime" else "false"
            out.append(f"  {cls}Edit& set_{bare}(WallTime v) {{ SetTime({text}, v, {micro}); return *this; }}")
        elif f.kind in RAW_KINDS:
            out.append(f"  {cls}Edit& set_{bare}(const doc::Value& v) {{ SetRaw({text}, v); return *this; }}")
        else:
            kind, setter = {"kBool": ("bool", "SetBool"), "kInt32": ("int32_t", "SetInt"),
                            "kInt64": ("int64_t", "SetInt"), "kDouble": ("double", "SetDouble")}.get(
                                f.kind, ("std::string_view", "SetString"))
            out.append(f"  {cls}Edit& set_{bare}({kind} v) {{ {setter}({text}, v); return *this; }}")
        out.append(f"  {cls}Edit& clear_{bare}() {{ Clear({text}); return *this; }}")
        return out

    def text(self):
        body = []
        names = list(self.package.types)
        for name in names:
            body += [f"class {name};", f"class {name}Edit;"]
        body.append("")
        for m in self.package.types.values():
            fields = list(flatten(m))
            if m.doc:
                body.append(f"/// {m.doc}")
            body += [f"class {m.name} : public View {{", " public:", "  using View::View;",
                     f"  static const Type& SchemaType() {{ return detail::kTypes[{m.index}]; }}"]
            for f in fields:
                body += self.reader(m.name, f)
            body += ["};", f"class {m.name}Edit : public EditBase<{m.name}> {{", " public:",
                     f"  static constexpr size_t kFieldCount = {len(fields)};",
                     f"  explicit {m.name}Edit(EditTarget target) : EditBase(target, kFieldCount) {{}}",
                     f"  explicit {m.name}Edit(doc::Document& document) : EditBase(document, kFieldCount) {{}}"]
            for f in fields:
                body += self.writer(m.name, f)
            body += ["};", ""]
        body += self.later
        body.append("")
        for m in self.package.types.values():
            if m.resource:
                index = self.kind_index[id(m)]
                body.append(f"inline const KindInfo& {m.name}Info() {{ return detail::kKinds[{index}]; }}")
        head = ["// Generated by tools/schemagen.py. Do not edit.", "#pragma once", "", '#include "api/edit.h"',
                '#include "api/schema_data.h"', '#include "api/view.h"']
        head += [f'#include "api/{i}.h"' for i in sorted(self.includes)]
        space = f"knarr::api::{self.package.cpp()}"
        return "\n".join(head + ["", f"namespace {space} {{", ""] + body + ["", f"}}  // namespace {space}", ""])


def write(path, text):
    try:
        with open(path, encoding="utf-8") as old:
            if old.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    output, files = arguments[0], sorted(arguments[1:])
    packages = [parse(path) for path in files]
    resolver = Resolver(packages)
    for package in packages:
        for message in package.types.values():
            for f in message.fields:
                resolver.resolve(f, package)
    os.makedirs(output, exist_ok=True)
    tables = Tables(packages)
    served, others = tables.kinds()
    kind_index = {id(m): i for i, m in enumerate(served + others)}
    for package in packages:
        write(os.path.join(output, package.cpp() + ".h"), Views(package, kind_index).text())
    write(os.path.join(output, "schema_data.cc"), tables.text())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SchemaError as error:
        sys.exit(f"schemagen: {error}")
