// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a pointer
#include <apalis/apalis.hpp>

struct Node {
  Node* next = nullptr;
  int value = 0;
};

int main() {
  apalis::Handler<Node> h;
#ifdef CONTROL
  (void)h.get(&Node::value);
#else
  (void)h.get(&Node::next);
#endif
}
