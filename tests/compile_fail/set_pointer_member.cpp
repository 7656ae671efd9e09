// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a parameter can't be a pointer
#include <apalis/apalis.hpp>

struct Node {
  Node* next = nullptr;
  int value = 0;
};

int main() {
  apalis::Handler<Node> h;
#ifdef CONTROL
  h.set(&Node::value, 3);
#else
  h.set(&Node::next, nullptr);
#endif
}
