#pragma once
// FakeClusterClient: a ClusterClient whose upstream is the test: it reads what was sent and says
// what comes back.  Nothing happens by itself.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/upstream/cluster_client.h"

namespace pillion::testing {

class FakeClusterClient final : public upstream::ClusterClient {
 public:
  struct Call final : upstream::ClientCall {
    std::string cluster;
    std::string path;
    std::string authority;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string sent;  // of the request, not yet taken
    Duration timeout{};
    bool is_open = true;
    bool has_ended = false;  // of the request
    bool is_paused = false;

    void send(std::string_view data, bool end) override {
      sent += data;
      has_ended |= end;
    }
    [[nodiscard]] bool is_backed_up() const noexcept override { return false; }
    void pause() override { is_paused = true; }
    void resume() override { is_paused = false; }
    [[nodiscard]] std::string_view host() const noexcept override { return "fake"; }

    // What the upstream does.
    void take() { observer->on_call_drained(); }
    void head(uint16_t status = 200) {
      Arena arena;
      http::ResponseHead response(arena);
      response.status = status;
      observer->on_call_head(response, false);
    }
    void data(std::string_view bytes) {
      if (is_open) observer->on_call_data(bytes, false);
    }
    void trailers(std::string_view grpc_status, std::string_view message) {
      Arena arena;
      http::Headers fields_of_end(arena);
      fields_of_end.add("grpc-status", grpc_status);
      fields_of_end.add("grpc-message", message);
      observer->on_call_trailers(fields_of_end);
    }
    void fail(std::string_view reason) {
      observer->on_call_failed({FailureKind::kConnectFailed}, reason);
    }

    upstream::ClientCallObserver* observer = nullptr;

   protected:
    void close() noexcept override { is_open = false; }
  };

  upstream::ClientCallPtr open(std::string_view cluster, const upstream::CallHead& head,
                               upstream::ClientCallObserver& observer) override {
    auto call = std::make_unique<Call>();
    call->cluster = cluster;
    call->path = head.path;
    call->authority = head.authority;
    call->timeout = head.timeout;
    for (const upstream::CallField& field : head.fields)
      call->fields.emplace_back(field.name, field.value);
    call->observer = &observer;
    calls.push_back(std::move(call));
    return upstream::ClientCallPtr(calls.back().get());
  }
  [[nodiscard]] Call& last() { return *calls.back(); }

  // All there were; closed ones too.
  std::vector<std::unique_ptr<Call>> calls;
};

}  // namespace pillion::testing
