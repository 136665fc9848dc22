#include "proxy/config/mesh_parts.h"

#include <array>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::config {

void refuse_later(const Node& node, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    if (Node field = node[key]; field.is_present()) {
      field.errors()->error(field.key_where(), std::string(kLater));
    }
  }
}

int choose_value(const Node& node, int fallback, std::span<const Word> words,
                 std::initializer_list<std::string_view> later) {
  const std::string_view text = node.as_view_or();
  if (node.is_missing() || !node.is_scalar()) return fallback;
  for (const Word& word : words) {
    if (word.text == text) return word.value;
  }
  std::vector<std::string_view> names;
  std::string list;
  for (const Word& word : words) {
    names.push_back(word.text);
    list += (list.empty() ? "" : ", ") + std::string(word.text);
  }
  for (std::string_view word : later) {
    if (word == text) {
      node.error(str(word, ' ', kLater, "; now: ", list));
      return fallback;
    }
    names.push_back(word);
  }
  const std::string_view near = closest(text, names);
  node.expected("one of " + list, near.empty() ? std::string() : str("did you mean ", near, '?'));
  return fallback;
}

ServiceProtocol parse_protocol(const Node& node) {
  static constexpr std::array<Word, 3> kProtocols = {{{"auto", 0}, {"http1", 1}, {"http2", 2}}};
  return choose(node, ServiceProtocol::kAuto, kProtocols);
}

bool is_section(const Node& node, std::string_view example) {
  if (node.is_missing() || node.is_mapping()) return true;
  node.expected(str("a mapping such as ", example));
  return false;
}

AddressText address_or(const Node& node, const char* fallback) {
  if (node.is_missing()) return *parse_address(fallback);
  auto parsed = parse_address(node.as_view_or());
  if (parsed) return *parsed;
  if (node.is_scalar()) node.expected(parsed.error());
  return *parse_address(fallback);
}

AddressText literal_address_or(const Node& node, const char* fallback, uint16_t min_port) {
  AddressText address = address_or(node, fallback);
  if (address.kind == AddressText::Kind::kName) {
    node.expected("an IP address and a port, such as 127.0.0.1:8080");
    return *parse_address(fallback);
  }
  if (address.kind == AddressText::Kind::kIp && address.port < min_port) {
    node.expected("a port of 1-65535");
    return *parse_address(fallback);
  }
  return address;
}

}  // namespace pillion::config
