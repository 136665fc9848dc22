#include "proxy/control/last_good_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "proxy/base/ascii.h"
#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/tls/signature.h"

namespace pillion {
namespace {

constexpr std::string_view kMagic = "pillion last good 1 sha256 ";
// Fields of the body, and of an item.
constexpr uint32_t kOwner = 1, kItem = 2;
constexpr uint32_t kType = 1, kName = 2, kVersion = 3, kBytes = 4;

std::string hash_line(std::string_view body) {
  std::string out(kMagic);
  for (const uint8_t byte : tls::sha256(body)) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
  return out + '\n';
}

std::optional<xds::ResourceType> type_of(std::string_view message) {
  for (const xds::ResourceType type : xds::kAllTypes)
    if (xds::message_of(type) == message) return type;
  return std::nullopt;
}

// False: no item.  One of a type that this version does not know is left out.
bool decode_item(std::string_view bytes, std::vector<LastGoodItem>& out) {
  LastGoodItem item{};
  std::string_view type;
  wire::Reader in(bytes);
  for (wire::Field f; in.next(f);) {
    if (f.number == kType) type = f.bytes;
    if (f.number == kName) item.name = f.bytes;
    if (f.number == kVersion) item.version = f.bytes;
    if (f.number == kBytes) item.bytes = f.bytes;
  }
  const auto known = type_of(type);
  if (!in.is_sound()) return false;
  if (!known) return true;
  item.type = *known;
  out.push_back(item);
  return true;
}

Status<> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{std::string(std::strerror(errno))};
    text.remove_prefix(static_cast<size_t>(n));
  }
  // What the name stands for must be there after a crash of the machine.
  if (::fsync(fd) != 0) return Error{std::string(std::strerror(errno))};
  return Ok{};
}

}  // namespace

std::string encode_last_good(std::string_view owner, const std::vector<LastGoodItem>& items) {
  std::string body;
  wire::write_item(body, kOwner, owner);
  for (const LastGoodItem& item : items) {
    std::string one;
    wire::write_bytes(one, kType, xds::message_of(item.type));
    wire::write_bytes(one, kName, item.name);
    wire::write_bytes(one, kVersion, item.version);
    wire::write_bytes(one, kBytes, item.bytes);
    wire::write_item(body, kItem, one);
  }
  return hash_line(body) + body;
}

Result<std::vector<LastGoodItem>> decode_last_good(std::string_view text, std::string_view owner) {
  const size_t end = text.find('\n');
  if (!text.starts_with(kMagic) || end == text.npos) return Error{"not a file of this version"};
  const std::string_view body = text.substr(end + 1);
  if (hash_line(body) != text.substr(0, end + 1)) return Error{"its hash is wrong"};
  std::vector<LastGoodItem> out;
  bool is_sound = true, is_owners = false;
  wire::Reader in(body);
  for (wire::Field f; in.next(f);) {
    if (f.number == kOwner) is_owners = f.bytes == owner;
    if (f.number == kItem) is_sound &= decode_item(f.bytes, out);
  }
  if (!is_sound || !in.is_sound()) return Error{"it is broken"};
  if (!is_owners) return Error{"it is another node's"};
  return out;
}

Status<> replace_file(const std::string& path, std::string_view text) {
  const std::string next = str(path, ".next");
  ::unlink(next.c_str());
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error{str(next, ": ", std::strerror(errno))};
  Status<> written = write_all(fd, text);
  ::close(fd);
  if (written && ::rename(next.c_str(), path.c_str()) == 0) return Ok{};
  std::string reason = written ? std::string(std::strerror(errno)) : written.error();
  ::unlink(next.c_str());
  return Error{str(path, ": ", reason)};
}

}  // namespace pillion
