#include "proxy/tls/key_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/io/address.h"

namespace pillion::tls {
namespace {

// Made for its owner only; what is there already keeps its mode, which must be as narrow.
Status<> prepare_file(const std::string& path) {
  constexpr mode_t kOwnerOnly = 0600;
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, kOwnerOnly);
  if (fd < 0) return Error{str("cannot open ", path, ": ", std::strerror(errno))};
  const bool ok = ::fchmod(fd, kOwnerOnly) == 0;
  const int error = errno;
  ::close(fd);
  if (!ok) return Error{str("cannot keep others from reading ", path, ": ", std::strerror(error))};
  return Ok{};
}

bool is_in(const std::vector<match::Cidr>& ranges, const io::Address& address) {
  return ranges.empty() || std::any_of(ranges.begin(), ranges.end(), [&](const match::Cidr& range) {
           return range.contains(address);
         });
}

}  // namespace

Result<std::unique_ptr<const KeyLog>> KeyLog::open(const KeyLogConfig& config) {
  std::unique_ptr<KeyLog> made(new KeyLog(config));
  LogWriter* writer = log::writer();
  if (writer == nullptr) return std::unique_ptr<const KeyLog>(std::move(made));
  if (auto ok = prepare_file(config.path); !ok) return Error{ok.error()};
  auto file = writer->open(config.path);
  if (!file) return Error{file.error()};
  made->file_ = std::move(*file);
  log::warning(log::kTls,
               "the secrets of TLS connections are written to a file: who reads it reads all that "
               "they carry (key_log)",
               {{"path", config.path}});
  return std::unique_ptr<const KeyLog>(std::move(made));
}

void KeyLog::write(const io::Transport& lower, std::string_view line) const {
  if (file_ == nullptr) return;
  const int fd = lower.raw_fd();
  const io::Address local = fd < 0 ? io::Address() : io::local_address_of(fd);
  const io::Address remote = fd < 0 ? io::Address() : io::peer_address_of(fd);
  if (!is_in(config_.local_ranges, local) || !is_in(config_.remote_ranges, remote)) return;
  file_->append(str(line, '\n'));
}

}  // namespace pillion::tls
