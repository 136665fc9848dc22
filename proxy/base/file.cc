#include "proxy/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "proxy/base/str.h"

namespace pillion {
namespace {

Error<std::string> last_error() { return Error{std::string(std::strerror(errno))}; }

// To its end, or as far as it goes if it was cut short meanwhile.
Result<std::string> read_all(int fd, size_t size) {
  std::string out(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(fd, out.data() + have, size - have);
    if (n < 0) return last_error();
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  out.resize(have);
  return out;
}

}  // namespace

Result<std::string> read_regular_file(const std::string& name, size_t max_bytes) {
  // A child process must not get it; a pipe must not hold us up.
  const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return last_error();
  struct stat info{};
  Result<std::string> out = std::string();
  if (::fstat(fd, &info) != 0) {
    out = last_error();
  } else if (!S_ISREG(info.st_mode)) {
    out = Error{"not a regular file"};
  } else if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    out = Error{str("larger than ", max_bytes >> 20, " MiB")};
  } else {
    out = read_all(fd, static_cast<size_t>(info.st_size));
  }
  ::close(fd);
  return out;
}

}  // namespace pillion
