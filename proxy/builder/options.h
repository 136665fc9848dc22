#pragma once
// What the command line says of a run: Envoy's flags, as far as they mean something here.  Plain
// values; filled by cli/run.cc, read by the Server and the builder.

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/config/errors.h"

namespace pillion {

struct Options {
  std::string config_path;   // -c
  std::string config_yaml;   // --config-yaml, merged over the file
  uint32_t concurrency = 0;  // workers; 0: the CPU limit of the cgroup rounded up, else 2
  std::string log_level = "info";
  std::string component_log_levels;  // "upstream:debug,io:trace"
  std::string log_path;              // empty: stderr
  std::string log_format;            // spdlog's pattern; empty: key=value lines

  // Envoy's default is 600 s; here it bounds how long a process that was told to end may wait for
  // silent keep-alive connections, and a pod has 30 s in all.
  Duration drain_time = std::chrono::seconds(5);
  // Who is told to go: every response from the start of the drain, or (gradual) a growing share of
  // them.
  enum class DrainStrategy : uint8_t {
    kGradual,
    kImmediate
  } drain_strategy = DrainStrategy::kImmediate;
  Duration parent_shutdown_time = std::chrono::seconds(900);
  Duration file_flush_interval = std::chrono::seconds(10);
  uint64_t file_flush_bytes = 64 * 1024;
  bool local_address_v6 = false;  // --local-address-ip-version
  bool allow_unknown_static_fields = false;
  bool reject_unknown_dynamic_fields = false;
  bool enable_core_dump = false;
  std::string last_good_cache;  // where what a control plane said last is kept; empty: nowhere
  uint32_t base_id = 0;
  bool validate_only = false;  // --mode validate: as `pillion check`
  // Over what the file's node says; empty: as there.
  std::string service_node;
  std::string service_cluster;
  std::string service_zone;

  [[nodiscard]] config::UnknownFields unknown_fields() const noexcept {
    return allow_unknown_static_fields ? config::UnknownFields::kWarn
                                       : config::UnknownFields::kError;
  }
  [[nodiscard]] config::UnknownFields unknown_dynamic_fields() const noexcept {
    if (reject_unknown_dynamic_fields) return config::UnknownFields::kError;
    return allow_unknown_static_fields ? config::UnknownFields::kCountAnyName
                                       : config::UnknownFields::kCount;
  }

  // As typed, for /server_info.
  std::vector<std::string> arguments;
};

}  // namespace pillion
