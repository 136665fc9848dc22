#pragma once
// KeyLog: the secrets of connections, for Wireshark (key_log of CommonTlsContext; the format of
// NSS's SSLKEYLOGFILE).  Whoever reads the file reads all that was said; it exists only where the
// configuration names it, readable by its owner only, and a warning says so.
//
// Owned by a Context, used by all workers.  Lines go to the process's log writer; while there is
// none (`pillion check`) nothing is written.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/log_writer.h"
#include "proxy/base/result.h"
#include "proxy/io/transport.h"
#include "proxy/match/cidr.h"

namespace pillion::tls {

struct KeyLogConfig {
  std::string path;
  // Of connections; empty: any.
  std::vector<match::Cidr> local_ranges;
  std::vector<match::Cidr> remote_ranges;
};

class KeyLog {
 public:
  static Result<std::unique_ptr<const KeyLog>> open(const KeyLogConfig& config);
  // `line` without its end.  `lower` is asked for the addresses; without any no range matches.
  void write(const io::Transport& lower, std::string_view line) const;

 private:
  explicit KeyLog(const KeyLogConfig& config) : config_(config) {}
  const KeyLogConfig config_;
  std::shared_ptr<LogFile> file_;
};

}  // namespace pillion::tls
