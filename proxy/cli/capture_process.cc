#include "proxy/cli/capture_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace pillion::cli {
namespace {

// A file in memory.  Unlike a pipe it cannot block either side, whatever the sizes.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : fd_(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  [[nodiscard]] int fd() const { return fd_; }

  bool fill(std::string_view text) {
    while (!text.empty()) {
      ssize_t n = write(fd_, text.data(), text.size());
      if (n <= 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return lseek(fd_, 0, SEEK_SET) == 0;
  }

  [[nodiscard]] std::string contents() const {
    std::string text;
    char chunk[4096];
    ssize_t n = 0;
    while ((n = pread(fd_, chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0) {
      text.append(chunk, static_cast<size_t>(n));
    }
    return text;
  }

 private:
  int fd_;
};

Error<std::string> system_error(std::string_view what, int number) {
  return Error{std::string{what} + ": " + strerror(number)};
}

Result<int> wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return system_error("waiting", errno);
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

std::string find_program(std::string_view name) {
  const char* path = getenv("PATH");
  std::string folders = std::string{path != nullptr ? path : ""} + ":/usr/sbin:/sbin";
  std::string_view rest = folders;
  while (!rest.empty()) {
    size_t colon = rest.find(':');
    std::string_view folder = rest.substr(0, colon);
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    if (folder.empty()) continue;
    std::string candidate = std::string{folder} + "/" + std::string{name};
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Result<ProcessOutcome> run_program(const std::vector<std::string>& argv, std::string_view input) {
  MemoryFile in{"input"};
  MemoryFile out{"output"};
  if (in.fd() < 0 || out.fd() < 0 || !in.fill(input)) return system_error("memory file", errno);

  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // posix_spawn does not write to it
  }
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.fd(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.fd(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.fd(), STDERR_FILENO);
  pid_t pid = 0;
  int failed = posix_spawn(&pid, argv[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return system_error(argv[0], failed);

  auto exit_code = wait_for(pid);
  if (!exit_code) return Error{exit_code.error()};
  return ProcessOutcome{*exit_code, out.contents()};
}

}  // namespace pillion::cli
