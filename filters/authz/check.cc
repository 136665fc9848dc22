#include "filters/authz/check.h"

#include <algorithm>
#include <bit>

#include "filters/authz/wire.h"
#include "proxy/base/ascii.h"

namespace pillion::filters::authz {
namespace {

using core::MetadataMember;
using core::MetadataValue;

constexpr unsigned kMaxStructDepth = 16;

// ---- the question ----

// google.protobuf.Value.
void put_value(std::string& out, uint32_t field, const MetadataValue& value);

// google.protobuf.Struct.
void put_struct(std::string& out, uint32_t field, const MetadataValue& value) {
  WireWriter wire(out);
  wire.message(field, [&] {
    for (const MetadataMember* m = value.first; m != nullptr; m = m->next) {
      wire.message(1, [&] {
        wire.text(1, m->key);
        put_value(out, 2, m->value);
      });
    }
  });
}

void put_value(std::string& out, uint32_t field, const MetadataValue& value) {
  using Kind = MetadataValue::Kind;
  WireWriter wire(out);
  wire.message(field, [&] {
    switch (value.kind) {
      case Kind::kNull:
        return wire.varint(1, 0);
      case Kind::kNumber:
        return wire.fixed64(2, std::bit_cast<uint64_t>(value.number));
      case Kind::kString:
        return wire.text(3, value.text);
      case Kind::kBool:
        return wire.varint(4, value.boolean ? 1 : 0);
      case Kind::kStruct:
        return put_struct(out, 5, value);
      case Kind::kList:
        return wire.message(6, [&] {
          for (const MetadataMember* m = value.first; m != nullptr; m = m->next)
            put_value(out, 1, m->value);
        });
    }
  });
}

// core.v3.Address of an IP address.
void put_address(WireWriter& wire, const io::Address& address) {
  if (!address.is_ip()) return;
  char text[io::Address::kMaxText];
  const size_t size = address.format(text, false);
  wire.message(1, [&] {
    wire.message(1, [&] {
      wire.text(2, {text, size});
      wire.varint(3, address.port());
    });
  });
}

std::string_view first_of(std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts) {
    if (!text.empty()) return text;
  }
  return {};
}

void put_peers(WireWriter& wire, const Question& question) {
  const core::ConnectionInfo& connection = question.context.connection();
  const io::PeerIdentity* identity = connection.identity;
  wire.message(1, [&] {
    put_address(wire, connection.remote);
    const http::Field* service =
        question.context.request().headers.find("x-envoy-downstream-service-cluster");
    if (service != nullptr) wire.text(2, service->value);
    if (identity != nullptr) {
      // Only what was verified is an identity.
      const std::string_view principal =
          identity->verified ? first_of({identity->uri_san, identity->dns_san, identity->subject})
                             : std::string_view();
      if (!principal.empty()) wire.text(4, principal);
    }
  });
  wire.message(2, [&] {
    put_address(wire, connection.local);
    if (identity == nullptr) return;
    const std::string_view own = first_of({identity->local_uri_san, identity->local_subject});
    if (!own.empty()) wire.text(4, own);
  });
}

// `headers`, a map in which repeated ones are joined by commas, or `header_map`.
void put_headers(WireWriter& wire, const Question& question) {
  if (question.config.raw_headers) {
    wire.message(13, [&] {
      for_each_told(question, [&](std::string_view name, std::string_view value) {
        wire.message(1, [&] {
          wire.text(1, name);
          wire.bytes(3, value);
        });
      });
    });
    return;
  }
  std::vector<std::pair<std::string_view, std::string>> joined;
  for_each_told(question, [&](std::string_view name, std::string_view value) {
    const auto it = std::ranges::find(joined, name, [](const auto& e) { return e.first; });
    if (it == joined.end()) {
      joined.emplace_back(name, value);
    } else {
      (it->second += ',') += value;
    }
  });
  for (const auto& [name, value] : joined) wire.entry(3, name, value);
}

void put_request(WireWriter& wire, const Question& question) {
  const http::RequestHead& head = question.context.request();
  const core::StreamInfo& info = question.context.info();
  const int64_t since =
      std::chrono::duration_cast<Duration>(info.wall_begin.time_since_epoch()).count();
  wire.message(1, [&] {
    wire.varint(1, static_cast<uint64_t>(since / 1'000'000'000));
    wire.varint(2, static_cast<uint64_t>(since % 1'000'000'000));
  });
  wire.message(2, [&] {
    wire.text(1, info.stream_id);
    wire.text(2, head.method_text);
    put_headers(wire, question);
    wire.text(4, head.path);
    wire.text(5, head.authority);
    wire.text(6, head.scheme);
    // -1: not known.
    const uint64_t size = question.has_body && !question.is_partial ? question.body.size()
                          : head.framing == http::Framing::kLength  ? head.content_length
                          : head.framing == http::Framing::kNone    ? 0
                                                                    : UINT64_MAX;
    wire.varint(9, size);
    wire.text(10, http::protocol_name(head.protocol));
    if (!question.has_body) return;
    if (question.pack_as_bytes) {
      wire.bytes(12, question.body);
    } else {
      wire.text(11, question.body);
    }
  });
}

// ---- the answer ----

std::string_view lower_copy(std::string_view text, Arena& arena) {
  char* const out = arena.allocate_array<char>(text.size());
  std::ranges::transform(text, out, to_lower);
  return {out, text.size()};
}

// HeaderValueOption.  False: broken, or of no known action.
bool read_header(std::string_view message, Arena& arena, std::vector<HeaderChange>& out) {
  HeaderChange change;
  uint64_t action = 0;
  std::optional<bool> append;  // the older form
  WireReader option(message);
  while (option.next()) {
    if (option.field() == 1) {
      WireReader header(option.bytes());
      while (header.next()) {
        if (header.field() == 1) change.name = lower_copy(header.bytes(), arena);
        const bool is_value = header.field() == 2 || header.field() == 3;
        if (is_value && !header.bytes().empty()) change.value = arena.copy(header.bytes());
      }
      if (header.is_broken()) return false;
    } else if (option.field() == 2) {
      WireReader wrapper(option.bytes());
      append = false;
      while (wrapper.next()) append = wrapper.field() == 1 ? wrapper.number() != 0 : *append;
      if (wrapper.is_broken()) return false;
    } else if (option.field() == 3) {
      action = option.number();
    }
  }
  if (option.is_broken() || action > 3 || out.size() >= kMaxChanges) return false;
  change.action = static_cast<HeaderAction>(action);
  if (append) change.action = *append ? HeaderAction::kAppend : HeaderAction::kOverwriteOrAdd;
  out.push_back(change);
  return true;
}

bool read_struct(std::string_view message, Arena& arena, unsigned depth, MetadataValue& out);

bool read_list(std::string_view message, Arena& arena, unsigned depth, MetadataValue& out);

// google.protobuf.Value.
bool read_value(std::string_view message, Arena& arena, unsigned depth, MetadataValue& out) {
  if (depth > kMaxStructDepth) return false;
  WireReader value(message);
  bool is_good = true;
  while (value.next()) {
    switch (value.field()) {
      case 1:
        out = {};
        break;
      case 2:
        out = MetadataValue::of(std::bit_cast<double>(value.number()));
        break;
      case 3:
        out = MetadataValue::of(arena.copy(value.bytes()));
        break;
      case 4:
        out = MetadataValue::of(value.number() != 0);
        break;
      case 5:
        is_good = is_good && read_struct(value.bytes(), arena, depth + 1, out);
        break;
      case 6:
        is_good = is_good && read_list(value.bytes(), arena, depth + 1, out);
        break;
      default:
        break;
    }
  }
  return is_good && !value.is_broken();
}

bool read_list(std::string_view message, Arena& arena, unsigned depth, MetadataValue& out) {
  out = {};
  out.kind = MetadataValue::Kind::kList;
  MetadataMember** end = &out.first;
  WireReader list(message);
  while (list.next()) {
    if (list.field() != 1) continue;
    auto* const member = arena.create<MetadataMember>();
    if (!read_value(list.bytes(), arena, depth, member->value)) return false;
    *end = member;
    end = &member->next;
  }
  return !list.is_broken();
}

bool read_struct(std::string_view message, Arena& arena, unsigned depth, MetadataValue& out) {
  out = {};
  out.kind = MetadataValue::Kind::kStruct;
  MetadataMember** end = &out.first;
  WireReader fields(message);
  while (fields.next()) {
    if (fields.field() != 1) continue;
    auto* const member = arena.create<MetadataMember>();
    WireReader entry(fields.bytes());
    while (entry.next()) {
      if (entry.field() == 1) member->key = arena.copy(entry.bytes());
      if (entry.field() == 2 && !read_value(entry.bytes(), arena, depth, member->value))
        return false;
    }
    if (entry.is_broken()) return false;
    *end = member;
    end = &member->next;
  }
  return !fields.is_broken();
}

// HttpStatus; 0 if it is none that a reply can have.
uint16_t read_status(std::string_view message) {
  WireReader status(message);
  uint64_t code = 0;
  while (status.next()) {
    if (status.field() == 1) code = status.number();
  }
  return code >= 200 && code <= 599 ? static_cast<uint16_t>(code) : 0;
}

// DeniedHttpResponse, of a refusal or an error.
bool read_denied(std::string_view message, Arena& arena, Answer& out) {
  WireReader denied(message);
  while (denied.next()) {
    if (denied.field() == 1) out.status = read_status(denied.bytes());
    if (denied.field() == 2 && !read_header(denied.bytes(), arena, out.reply_headers))
      out.is_invalid = true;
    if (denied.field() == 3) out.body = arena.copy(denied.bytes());
  }
  return !denied.is_broken();
}

// QueryParameter.
void read_parameter(std::string_view message, Arena& arena, Answer& out) {
  std::pair<std::string_view, std::string_view> parameter;
  WireReader fields(message);
  while (fields.next()) {
    if (fields.field() == 1) parameter.first = arena.copy(fields.bytes());
    if (fields.field() == 2) parameter.second = arena.copy(fields.bytes());
  }
  if (fields.is_broken() || out.query_set.size() >= kMaxChanges) {
    out.is_invalid = true;
  } else {
    out.query_set.push_back(parameter);
  }
}

// OkHttpResponse.
bool read_ok(std::string_view message, Arena& arena, Answer& out) {
  WireReader ok(message);
  const auto take = [&](std::vector<std::string_view>& list, bool lower) {
    if (list.size() >= kMaxChanges) {
      out.is_invalid = true;
    } else {
      list.push_back(lower ? lower_copy(ok.bytes(), arena) : arena.copy(ok.bytes()));
    }
  };
  while (ok.next()) {
    switch (ok.field()) {
      case 2:
        if (!read_header(ok.bytes(), arena, out.request_headers)) out.is_invalid = true;
        break;
      case 3:
        if (!read_struct(ok.bytes(), arena, 0, out.metadata)) return false;
        break;
      case 5:
        take(out.removed, true);
        break;
      case 6:
        if (!read_header(ok.bytes(), arena, out.response_headers)) out.is_invalid = true;
        break;
      case 7:
        read_parameter(ok.bytes(), arena, out);
        break;
      case 8:
        take(out.query_removed, false);
        break;
      default:
        break;
    }
  }
  return !ok.is_broken();
}

// rpc.Status: 0 is OK.
int64_t read_code(std::string_view message) {
  WireReader status(message);
  int64_t code = 0;
  while (status.next()) {
    if (status.field() == 1) code = static_cast<int64_t>(status.number());
  }
  return status.is_broken() ? -1 : code;
}

}  // namespace

std::string encode_check(const Question& question) {
  std::string out;
  WireWriter wire(out);
  wire.message(1, [&] {
    put_peers(wire, question);
    wire.message(4, [&] { put_request(wire, question); });
    for (const auto& [key, value] : question.extensions) wire.entry(10, key, value);
    wire.message(11, [&] {
      for (const std::string& space : question.config.metadata_namespaces) {
        const MetadataValue* value = question.context.info().metadata.find(space, {});
        if (value == nullptr) continue;
        wire.message(1, [&] {
          wire.text(1, space);
          put_struct(out, 2, *value);
        });
      }
    });
    const std::string_view sni = question.context.connection().sni();
    if (question.config.include_tls_session && !sni.empty())
      wire.message(12, [&] { wire.text(1, sni); });
  });
  return out;
}

Answer decode_check(std::string_view message, Arena& arena) {
  Answer out;
  std::string_view denied;
  std::string_view ok;
  std::string_view error;
  bool has_error = false;
  int64_t code = 0;
  MetadataValue metadata;
  bool is_good = true;
  WireReader response(message);
  while (response.next()) {
    // Of a oneof the last one counts.
    const uint32_t field = response.field();
    if (field == 1) code = read_code(response.bytes());
    if (field == 2 || field == 3 || field == 5) {
      denied = field == 2 ? response.bytes() : std::string_view();
      ok = field == 3 ? response.bytes() : std::string_view();
      error = field == 5 ? response.bytes() : std::string_view();
      has_error = field == 5;
    }
    if (field == 4) is_good = is_good && read_struct(response.bytes(), arena, 0, metadata);
  }
  if (code == 0) {
    is_good = is_good && read_ok(ok, arena, out);
    out.verdict = Answer::Verdict::kOk;
  } else {
    is_good = is_good && read_denied(has_error ? error : denied, arena, out);
    out.verdict = has_error ? Answer::Verdict::kError : Answer::Verdict::kDenied;
  }
  // What stands in OkHttpResponse, the older form, comes first.
  if (out.metadata.kind == MetadataValue::Kind::kNull) out.metadata = metadata;
  if (response.is_broken() || !is_good) return {};
  return out;
}

}  // namespace pillion::filters::authz
