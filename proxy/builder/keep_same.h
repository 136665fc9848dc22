#pragma once
// What is compiled again and means the same stays the same object: those who have it need not be
// told, and what belongs to it (token buckets, counters, limits) goes on.  Internal to the builder.

#include <memory>
#include <unordered_map>
#include <utility>

#include "proxy/builder/resources.h"

namespace pillion {

inline bool is_same(const CompiledCluster& a, const CompiledCluster& b) {
  return a.config->hash == b.config->hash;
}
inline bool is_same(const CompiledListener& a, const CompiledListener& b) {
  return a.config->hash == b.config->hash;
}
inline bool is_same(const CompiledRoutes& a, const CompiledRoutes& b) {
  return a.table->hash() == b.table->hash();
}
inline bool is_same(const CompiledVirtualHost& a, const CompiledVirtualHost& b) {
  return a.host->hash == b.host->hash;
}
inline bool is_same(const CompiledScope& a, const CompiledScope& b) {
  return a.config->hash == b.config->hash;
}
inline bool is_same(const CompiledExtension& a, const CompiledExtension& b) {
  return a.type == b.type && a.hash == b.hash;
}
inline bool is_same(const CompiledRuntimeLayer& a, const CompiledRuntimeLayer& b) {
  return a.values == b.values;
}

// `made` with what counts of `former`, which is the same.
template <typename T>
std::shared_ptr<const T> with_former(const T& made, const std::shared_ptr<const T>& former) {
  T kept = made;
  if constexpr (requires { kept.tables; }) {
    kept.config = former->config;
    kept.tables = former->tables;
    kept.extensions = former->extensions;
    kept.srds = former->srds;
  } else if constexpr (requires { kept.config; }) {
    kept.config = former->config;
  } else if constexpr (requires { kept.table; }) {
    kept.table = former->table;
  } else if constexpr (requires { kept.host; }) {
    kept.host = former->host;
  } else {
    return former;  // who uses a filter or a layer knows it by this object
  }
  return std::make_shared<const T>(std::move(kept));
}

template <typename T>
std::shared_ptr<const T> keep_parts(std::shared_ptr<const T> made, const T&) {
  return made;
}

// Of a listener that is another one now the filter chains that are not, with what belongs to them.
inline std::shared_ptr<const CompiledListener> keep_parts(
    std::shared_ptr<const CompiledListener> made, const CompiledListener& former) {
  const core::ListenerConfig& old = *former.config;
  // What a chain has of its listener.
  if (old.direction != made->config->direction ||
      old.per_connection_buffer_limit != made->config->per_connection_buffer_limit)
    return made;
  std::unordered_map<uint64_t, const std::shared_ptr<const core::FilterChain>*> known;
  for (const auto& chain : old.chains) known.emplace(chain->hash, &chain);
  auto config = std::make_shared<core::ListenerConfig>(*made->config);
  for (auto& chain : config->chains) {
    const auto it = known.find(chain->hash);
    if (it != known.end() && (*it->second)->name == chain->name) chain = *it->second;
  }
  auto& last = config->default_chain;
  if (last != nullptr && old.default_chain != nullptr && last->hash == old.default_chain->hash)
    last = old.default_chain;
  auto out = std::make_shared<CompiledListener>(*made);
  out->config = std::move(config);
  return out;
}

// `made`, or what stands for it of the piece: what is in force under its name, or was newest.
template <typename T>
std::shared_ptr<const T> keep_same(std::shared_ptr<const T> made, const Piece<T>& piece) {
  for (const std::shared_ptr<const T>& end : {piece.active, piece.newest})
    if (end != nullptr && is_same(*made, *end)) return with_former(*made, end);
  if (piece.active != nullptr) return keep_parts(std::move(made), *piece.active);
  return made;
}

}  // namespace pillion
