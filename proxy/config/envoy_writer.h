#pragma once
// Writes messages, Envoy v3's for expand.cc and Kubernetes' for rewrite.h, into a TreeBuilder.

#include <chrono>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/config/document.h"
#include "proxy/config/node.h"
#include "proxy/config/scalars.h"

namespace pillion::config {

class EnvoyWriter {
 public:
  explicit EnvoyWriter(TreeBuilder& tree) : tree_(tree) {}

  // What follows stands for `node`, until the end of `body`.
  template <typename Body>
  void standing_for(const Node& node, Body&& body) {
    const Value* before = origin_;
    if (node.value() != nullptr) tree_.from(origin_ = node.value());
    body();
    tree_.from(origin_ = before);
  }
  template <typename Body>
  void message(std::string_view key, Body&& body) {
    tree_.key(key);
    item(body);
  }
  template <typename Body>
  void list(std::string_view key, Body&& body) {
    tree_.key(key).begin_sequence();
    body();
    tree_.end();
  }
  template <typename Body>
  void item(Body&& body) {
    tree_.begin_mapping();
    body();
    tree_.end();
  }
  // google.protobuf.Any
  template <typename Body>
  void any(std::string_view key, std::string_view type, Body&& body) {
    message(key, [&] {
      text("@type", std::string("type.googleapis.com/").append(type));
      body();
    });
  }
  // An extension: name and typed_config.
  template <typename Body>
  void extension(std::string_view name, std::string_view type, Body&& body) {
    text("name", name);
    any("typed_config", type, body);
  }

  void text(std::string_view key, std::string_view value) { tree_.key(key).string(value); }
  void item_text(std::string_view value) { tree_.string(value); }
  void word(std::string_view key, std::string_view value) { tree_.key(key).plain(value); }
  void number(std::string_view key, uint64_t value) { tree_.key(key).number(value); }
  void item_number(uint64_t value) { tree_.number(value); }
  void decimal(std::string_view key, double value) { tree_.key(key).plain(str(value)); }
  void flag(std::string_view key, bool value) { tree_.key(key).boolean(value); }
  void duration(std::string_view key, std::chrono::nanoseconds value) {
    tree_.key(key).string(format_duration(value));
  }
  // Whatever `body` writes.
  template <typename Body>
  void value(std::string_view key, Body&& body) {
    tree_.key(key);
    body(tree_);
  }
  // envoy.config.core.v3.Address
  void address(std::string_view key, const AddressText& value);

 private:
  TreeBuilder& tree_;
  const Value* origin_ = nullptr;
};

}  // namespace pillion::config
