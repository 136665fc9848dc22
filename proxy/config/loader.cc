#include "proxy/config/loader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/config/yaml_text.h"

namespace pillion::config {
namespace {

// At most limit + 1 bytes, so that the caller sees "too long" without reading it all.
bool read_up_to(int fd, size_t limit, std::string& out) {
  constexpr size_t kChunk = size_t{64} << 10;
  while (out.size() <= limit) {
    const size_t before = out.size();
    out.resize(before + kChunk);
    const ssize_t got = ::read(fd, out.data() + before, kChunk);
    out.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
  }
  return true;
}

// Merges two values that stand at the same path.
void merge_values(TreeBuilder& out, const Value& base, const Value& over);

const Value* child_named(const Value& mapping, std::string_view key) {
  for (const Value* child = mapping.first_child; child != nullptr; child = child->next) {
    const std::string_view name = child->key->text;
    if (name == key || is_camel_case_of(name, key) || is_camel_case_of(key, name)) return child;
  }
  return nullptr;
}

void merge_mappings(TreeBuilder& out, const Value& base, const Value& over) {
  for (const Value* child = base.first_child; child != nullptr; child = child->next) {
    const Value* replacement = child_named(over, child->key->text);
    out.key(child->key->text, child->key_mark);
    if (replacement == nullptr) {
      out.copy(*child);
    } else {
      merge_values(out, *child, *replacement);
    }
  }
  for (const Value* child = over.first_child; child != nullptr; child = child->next) {
    if (child_named(base, child->key->text) != nullptr) continue;
    out.key(child->key->text, child->key_mark);
    out.copy(*child);
  }
}

void merge_values(TreeBuilder& out, const Value& base, const Value& over) {
  if (over.kind == Kind::kNull) return out.copy(base);
  if (over.kind != base.kind || over.kind == Kind::kScalar) return out.copy(over);
  out.open_like(base);
  if (base.kind == Kind::kMapping) {
    merge_mappings(out, base, over);
  } else {
    for (const Value* list : {&base, &over}) {
      for (const Value* item = list->first_child; item != nullptr; item = item->next) {
        out.copy(*item);
      }
    }
  }
  out.end();
}

}  // namespace

DocumentPtr load_file(const std::string& path, Errors& errors, const LoadLimits& limits) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    errors.error({path, {}, {}}, str("cannot open: ", std::strerror(errno)));
    return nullptr;
  }
  std::string text;
  const bool is_read = read_up_to(fd, limits.max_bytes, text);
  const int reason = errno;
  ::close(fd);
  if (!is_read) {
    errors.error({path, {}, {}}, str("cannot read: ", std::strerror(reason)));
    return nullptr;
  }
  return load_text(text, path, errors, limits);
}

DocumentPtr load_text(std::string_view text, const std::string& source, Errors& errors,
                      const LoadLimits& limits) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (auto checked = check_text(text, limits); !checked) {
    errors.error({source, checked.error().mark, {}}, checked.error().text);
    return nullptr;
  }
  return parse_yaml(text, source, errors, limits);
}

DocumentPtr merge(const DocumentPtr& base, const DocumentPtr& over) {
  if (base == nullptr || over == nullptr) return base == nullptr ? over : base;
  TreeBuilder out(base->source());
  out.keep_alive(base);
  out.keep_alive(over);
  merge_values(out, base->root_value(), over->root_value());
  return out.finish();
}

}  // namespace pillion::config
