#pragma once
// What an H1ServerConnection needs only while something runs or waits on it.  For h1_server*.cc.

#include "proxy/base/buffer.h"
#include "proxy/base/free_list.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_server.h"
#include "proxy/http/head_stash.h"

namespace pillion::http {

// Lingering, so much is read and dropped.
inline constexpr uint32_t kLingerBytes = 64 * 1024;

struct H1ServerConnection::Work {
  explicit Work(H1ServerConnection& connection) noexcept
      : writer(connection.batch_, connection),
        linger_timer(io::Timer::of<&H1ServerConnection::on_linger_timeout>(&connection)),
        counted_received(connection.received_) {
    writer.set_transport(*connection.transport_);
  }
  static void* operator new(size_t) { return free_works.take(); }
  static void operator delete(void* memory) noexcept { free_works.give(memory); }

  io::Writer writer;
  RequestSink* sink = nullptr;
  Headers* trailers = nullptr;
  HeadStash stash;
  Buffer pending;  // bytes that wait: for the running exchange, the client to take its
                   // responses, or the next turn; what is read meanwhile lines up behind
  H1RequestParser parser;
  H1TrailerParser trailer_parser;
  H1BodyReader body;
  io::Timer linger_timer;
  uint64_t counted_received;  // by count_traffic(), of all of the connection's
  uint64_t counted_sent = 0;  // of writer's
  uint64_t added_before = 0;  // to the writer, by the exchanges that ended
  uint32_t lingered = 0;      // bytes dropped since our FIN
  Method method = Method::kGet;
  Protocol protocol = Protocol::kHttp11;
  Framing response_framing = Framing::kNone;

  static constexpr size_t kBlockBytes = 384;
  static constexpr size_t kKept = 64;
  static thread_local FreeList free_works;  // in h1_server.cc
};

}  // namespace pillion::http
