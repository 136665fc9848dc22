#pragma once
// A filter behind the one under test that changes the request, or leads it to another route.

#include <functional>
#include <memory>

#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {

class Changer;
class ChangerFactory final : public core::HttpFilterFactoryOf<Changer, ChangerFactory> {
 public:
  explicit ChangerFactory(std::function<void(core::FilterContext&)> c) : change(std::move(c)) {}
  std::function<void(core::FilterContext&)> change;
};
class Changer final : public core::HttpFilter {
 public:
  Changer(const ChangerFactory& factory, core::FilterContext& context)
      : factory_(factory), context_(context) {}
  core::FilterVerdict on_request_head(http::RequestHead&, bool) override {
    factory_.change(context_);
    return core::FilterVerdict::kContinue;
  }

 private:
  const ChangerFactory& factory_;
  core::FilterContext& context_;
};

inline std::shared_ptr<const core::HttpFilterFactory> rewriter_to(std::string path) {
  return std::make_shared<ChangerFactory>(
      [path = std::move(path)](core::FilterContext& context) { context.request().path = path; });
}

// Requests of a FilterTest that end at another route than they began with.
template <typename Test>
class Led : public Test {
 protected:
  // Before configure(); `yaml` is the other route's configuration of the filter.
  void lead_to(std::string_view yaml) {
    target_.forward = std::make_unique<const route::ForwardAction>();
    target_.filters = Test::overrides(yaml);
    this->behind = std::make_shared<ChangerFactory>(
        [](core::FilterContext& context) { context.clear_route_cache(); });
  }
  Exchange& ask_and_be_led(Fields fields) {
    Exchange& e = this->prepare(fields);
    e.next_match = {e.route().host, &target_, nullptr};
    e.begin();
    return e;
  }
  route::Route target_;
};

}  // namespace pillion::filters
