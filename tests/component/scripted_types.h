#pragma once
// Types of HTTP filters "a" and "b" for a worker's configuration, whose filters do what a script
// says and note what they are called with.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tests/unit/core/scripted_filters.h"

namespace pillion::testing {

class ScriptedTypes {
 protected:
  using FilterContext = core::FilterContext;
  using FilterVerdict = core::FilterVerdict;

  // Of http_filters.
  static constexpr std::string_view kScriptedFilters =
      "{ name: a, typed_config: { '@type': type.googleapis.com/a } }, "
      "{ name: b, typed_config: { '@type': type.googleapis.com/b } }, ";

  // For WorkerTest::http_filters; filters that are made from now on are this one's.
  std::span<const core::HttpFilterType> scripted_types() {
    static ScriptedTypes* current;
    current = this;
    using Factory = std::shared_ptr<const core::HttpFilterFactory>;
    using Context = core::FilterParseContext;
    static constexpr auto make = [](const char* name) -> Factory {
      return std::make_shared<const core::ScriptedFactory>(name, current->script, current->calls);
    };
    static const core::HttpFilterType types[] = {
        {"a", {}, [](const config::Node&, const Context&) { return make("a"); }},
        {"b", {}, [](const config::Node&, const Context&) { return make("b"); }}};
    return types;
  }
  void stops(const std::string& hook) {
    script[hook] = [this, hook](FilterContext& context) {
      stopped[hook] = &context;
      return FilterVerdict::kStop;
    };
  }
  [[nodiscard]] bool is_stopped(const std::string& hook) const { return stopped.contains(hook); }
  // What waits there goes on, and nothing is stopped there any more.
  void resume(const std::string& hook) {
    script.erase(hook);
    stopped.at(hook)->resume();
  }

  core::Script script;
  core::Calls calls;
  std::map<std::string, FilterContext*> stopped;
};

}  // namespace pillion::testing
