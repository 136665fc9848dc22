#include "proxy/http/grpc_frames.h"

#include <algorithm>

namespace pillion::http {

std::string grpc_frame(std::string_view message) {
  std::string out(kGrpcPrefix, '\0');
  write_grpc_prefix(out.data(), 0, static_cast<uint32_t>(message.size()));
  return out.append(message);
}

void GrpcFrames::reset() {
  buffer_.clear();
  if (buffer_.capacity() > kKept) buffer_.shrink_to_fit();
}

void GrpcFrames::take(std::string_view& bytes, size_t until) {
  const size_t wanted = std::min(bytes.size(), until - buffer_.size());
  buffer_.append(bytes.substr(0, wanted));
  bytes.remove_prefix(wanted);
}

const char* GrpcFrames::check_prefix() const {
  if (buffer_[0] != 0) return "a compressed message, which was not asked for";
  return size() > max_bytes_ ? "a message larger than the limit" : nullptr;
}

size_t GrpcFrames::size() const {
  size_t size = 0;
  for (size_t i = 1; i < kPrefix; ++i) size = size << 8 | static_cast<uint8_t>(buffer_[i]);
  return size;
}

}  // namespace pillion::http
