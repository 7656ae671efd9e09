// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this aggregate can't cross as its bytes because of a field
// EXPECT: Node
#include <apalis/apalis.hpp>

struct Node {
  int value = 0;
#ifdef CONTROL
  int next = 0;
#else
  Node* next = nullptr;
#endif
};
struct List {
  int add(Node node) { return node.value; }
};

int main() {
  apalis::Handler<List> h;
  (void)h.call(&List::add, Node{});
}
