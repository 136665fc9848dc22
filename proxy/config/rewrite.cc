#include "proxy/config/rewrite.h"

#include <utility>

#include "proxy/config/document.h"

namespace pillion::config {
namespace {

const Value* child_of(const Value& mapping, std::string_view key) {
  for (const Value* child = mapping.first_child; child != nullptr; child = child->next) {
    if (child->key->text == key) return child;
  }
  return nullptr;
}

void write_container(TreeBuilder& tree, Kind kind, const Rewrite::Write& write) {
  kind == Kind::kMapping ? tree.begin_mapping() : tree.begin_sequence();
  EnvoyWriter out(tree);
  write(out);
  tree.end();
}

}  // namespace

void Rewrite::first(const Value& container, Write write) {
  changes_[&container].first.push_back(std::move(write));
}

void Rewrite::last(const Value& container, Write write) {
  changes_[&container].last.push_back(std::move(write));
}

void Rewrite::scalar(const Value& value, std::string text) {
  changes_[&value].instead = [text = std::move(text)](TreeBuilder& tree) { tree.string(text); };
}

void Rewrite::scalar(const Value& value, uint64_t number) {
  changes_[&value].instead = [number](TreeBuilder& tree) { tree.number(number); };
}

void Rewrite::add(const Value& mapping, std::string_view key, Kind kind, bool is_first,
                  Write write) {
  const Value* child = child_of(mapping, key);
  if (child == nullptr) {
    last(mapping, [key, kind, write = std::move(write)](EnvoyWriter& out) {
      out.value(key, [&](TreeBuilder& tree) { write_container(tree, kind, write); });
    });
  } else if (child->kind == Kind::kNull) {
    changes_[child].instead = [kind, write = std::move(write)](TreeBuilder& tree) {
      write_container(tree, kind, write);
    };
  } else {
    is_first ? first(*child, std::move(write)) : last(*child, std::move(write));
  }
}

void Rewrite::first_of_list(const Value& mapping, std::string_view key, Write write) {
  add(mapping, key, Kind::kSequence, true, std::move(write));
}
void Rewrite::last_of_list(const Value& mapping, std::string_view key, Write write) {
  add(mapping, key, Kind::kSequence, false, std::move(write));
}
void Rewrite::last_of_mapping(const Value& mapping, std::string_view key, Write write) {
  add(mapping, key, Kind::kMapping, false, std::move(write));
}

DocumentPtr Rewrite::apply() const {
  TreeBuilder tree(document_->source());
  tree.keep_alive(document_);
  copy(document_->root_value(), tree);
  return tree.finish();
}

// Recursion is bounded by the depth that the loader allows.
void Rewrite::copy(const Value& value, TreeBuilder& tree) const {
  const auto found = changes_.find(&value);
  const Change* change = found == changes_.end() ? nullptr : &found->second;
  if (change != nullptr && change->instead) return change->instead(tree);
  if (value.kind != Kind::kMapping && value.kind != Kind::kSequence) return tree.copy(value);
  EnvoyWriter out(tree);
  tree.open_like(value);
  if (change != nullptr) {
    for (const Write& write : change->first) write(out);
  }
  for (const Value* child = value.first_child; child != nullptr; child = child->next) {
    if (value.kind == Kind::kMapping) tree.key(child->key->text, child->key_mark);
    copy(*child, tree);
  }
  if (change != nullptr) {
    for (const Write& write : change->last) write(out);
  }
  tree.end();
}

}  // namespace pillion::config
