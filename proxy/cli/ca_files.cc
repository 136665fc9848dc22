#include "proxy/cli/ca_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "proxy/base/str.h"

namespace pillion::cli {
namespace {

Error<std::string> failed(std::string_view doing, const std::string& name, int error) {
  return Error{str("cannot ", doing, " ", name, ": ", std::strerror(error))};
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return ::fsync(fd) == 0 ? 0 : errno;
}

}  // namespace

bool file_exists(const std::string& name) {
  struct stat info{};
  return ::lstat(name.c_str(), &info) == 0;
}

Result<std::string> read_file(const std::string& name) {
  errno = 0;
  std::ifstream in(name, std::ios::binary);
  if (!in) return failed("read", name, errno);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in || !text) return failed("read", name, errno == 0 ? EIO : errno);
  return text.str();
}

Status<> create_file(const std::string& name, std::string_view text, mode_t mode) {
  const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return failed("write", name, errno);
  int error = write_all(fd, text);
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0) return Ok{};
  ::unlink(name.c_str());
  return failed("write", name, error);
}

Status<> replace_file(const std::string& name, std::string_view text, mode_t mode) {
  const std::string fresh = str(name, ".new.", ::getpid());
  if (auto ok = create_file(fresh, text, mode); !ok) return ok;
  if (::rename(fresh.c_str(), name.c_str()) == 0) return Ok{};
  const int error = errno;
  ::unlink(fresh.c_str());
  return failed("write", name, error);
}

Status<> make_folder(const std::string& name) {
  std::error_code error;
  std::filesystem::create_directories(name, error);
  if (error) return Error{str("cannot make the folder ", name, ": ", error.message())};
  return Ok{};
}

}  // namespace pillion::cli
