#pragma once
// What short texts stand for, for tests to look at.

#include "proxy/base/str.h"
#include "proxy/config/expand.h"
#include "proxy/config/loader.h"
#include "proxy/config/node.h"

namespace pillion::config {

// The expansion of a short text; every field of the result is known by name to the reader.
struct Expanded {
  explicit Expanded(std::string_view text)
      : document(load_text(text, "mesh.yaml", errors)), tree(expand(document, errors)) {}
  Node root() { return tree->root(errors); }
  Node listener(size_t i) { return nth(root()["static_resources"]["listeners"], i); }
  // By name; a missing node if there is none.
  Node cluster(std::string_view name) {
    for (Node c : root()["static_resources"]["clusters"].items()) {
      if (c["name"].raw() == name) return c;
    }
    return {};
  }
  static Node nth(const Node& list, size_t i) {
    for (Node item : list.items()) {
      if (i-- == 0) return item;
    }
    return {};
  }
  static Node first_filter(const Node& chain) { return nth(chain["filters"], 0)["typed_config"]; }

  Errors errors;
  DocumentPtr document, tree;
};

// Of a sidecar whose app is at 127.0.0.1:8080; `more` are other fields of inbound.
inline Expanded expand_inbound(std::string_view more) {
  return Expanded(
      str("workload: { trust_domain: mesh.local, certificates: { files: "
          "{ cert: u.crt, key: u.key, ca: ca.crt } } }\n"
          "inbound: { app: 127.0.0.1:8080, ",
          more, " }\n"));
}

}  // namespace pillion::config
