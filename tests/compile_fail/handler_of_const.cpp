// SPDX-License-Identifier: BSL-1.0
// EXPECT: Handler<A> needs a plain object type

#include <apalis/apalis.hpp>

struct Subject {
  int n = 0;
};

#ifdef CONTROL
apalis::Handler<Subject> make() { return {}; }
#else
apalis::Handler<const Subject> make() { return {}; }
#endif
