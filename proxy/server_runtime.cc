// The runtime: what the admin pages see and change of it, and what the process itself takes from
// it.
#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/config/suggest.h"
#include "proxy/server.h"

namespace pillion {
namespace {

// Of /runtime_modify, which nobody needs more of.
constexpr size_t kMaxAdminKeys = 1000;
constexpr size_t kMaxAdminText = 1024;

constexpr std::string_view kConnections = "overload.global_downstream_max_connections";

}  // namespace

admin::RuntimeStatus Server::runtime() const {
  admin::RuntimeStatus out;
  const auto add = [&out](const RuntimeLayer& layer, const config::RuntimeValues& values) {
    out.layers.push_back(layer.name);
    for (const auto& [key, value] : values) {
      admin::RuntimeEntry& entry = out.entries[key];
      entry.layer_values.resize(out.layers.size());
      entry.layer_values.back() = entry.final_value = value.text;
    }
  };
  for_each_layer(*snapshot_->bootstrap.runtime_layers, *snapshot_->resources, add);
  for (auto& [key, entry] : out.entries) entry.layer_values.resize(out.layers.size());
  return out;
}

// An empty value takes the key away.
Status<> Server::modify_runtime(const std::vector<std::pair<std::string, std::string>>& values) {
  if (!has_admin_layer(*snapshot_->bootstrap.runtime_layers))
    return Error<std::string>{"No admin layer specified"};
  config::RuntimeValues next = admin_values_;
  for (const auto& [key, text] : values) {
    if (key.empty() || key.size() > kMaxAdminText || text.size() > kMaxAdminText)
      return Error<std::string>{"a key or a value is empty or too long"};
    if (text.empty()) {
      next.erase(key);
    } else {
      next.insert_or_assign(key, config::parse_runtime_value(text));
    }
  }
  if (next.size() > kMaxAdminKeys) return Error<std::string>{"too many keys"};
  for (const auto& [key, text] : values)
    log::info(log::kAdmin, "a value of the runtime is set",
              {{"key", config::printable(key)}, {"value", config::printable(text)}});
  admin_values_ = std::move(next);
  runtime_waits_ = true;
  build_if_wanted();
  return Ok{};
}

// `next` is about to be in force.
void Server::use_runtime(const Snapshot& next) {
  const config::Runtime& runtime = *next.resources->runtime;
  runtime_stats_->load_success.inc();
  runtime_stats_->override_dir_not_exists.inc();
  runtime_stats_->num_keys.set(static_cast<int64_t>(runtime.values().size()));
  runtime_stats_->num_layers.set(static_cast<int64_t>(next.bootstrap.runtime_layers->size()));
  const auto& admin = next.resources->admin_values;
  runtime_stats_->admin_overrides_active.set(admin != nullptr && !admin->empty() ? 1 : 0);
  int64_t limit = connection_limit_;
  if (const config::RuntimeValue* value = runtime.find(kConnections)) {
    if (const auto number = value->unsigned_number()) {
      limit = std::min(limit, static_cast<int64_t>(*number));
    } else {
      runtime_stats_->value_unusable.inc();
      log::warning(log::kConfig, "a value of the runtime does not count: expected a whole number",
                   {{"key", kConnections}, {"value", config::printable(value->text)}});
    }
  }
  budget_.limit.store(limit, std::memory_order_relaxed);
}

}  // namespace pillion
