// SPDX-License-Identifier: BSL-1.0
#include <apalis/fmt.hpp>
#include <apalis/map_report.hpp>
#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"

#if __has_include(<nlohmann/json.hpp>)
#  include <nlohmann/json.hpp>
#  define APALIS_TEST_JSON
#endif

using apalis::Backend;
using apalis::MapReport;
using apalis::WorkerReport;
using Catch::Matchers::ContainsSubstring;

namespace {

MapReport two_workers() {
  return {.name = "render",
          .backend = Backend::processes,
          .items = 1000,
          .batches = 32,
          .smallest_batch = 1,
          .median_batch = 32,
          .largest_batch = 64,
          .wall_seconds = 12.34,
          .workers = {{.index = 0,
                       .pid = 4711,
                       .items = 600,
                       .batches = 20,
                       .busy_seconds = 11.2,
                       .idle_seconds = 0.9,
                       .overhead_seconds = 0.2,
                       .peak_memory_bytes = 34'100'000},
                      {.index = 1,
                       .pid = 12345,
                       .items = 400,
                       .batches = 12,
                       .busy_seconds = 7.8,
                       .idle_seconds = 4.45,
                       .overhead_seconds = 0.000'045,
                       .peak_memory_bytes = 1'234'000'000,
                       .restarts = 2}}};
}

}  // namespace

TEST_CASE("a map's report is a table", "[report]") {
  CHECK(to_string(two_workers()) ==
        R"(render on processes: 1000 items in 12.3 s, 32 batches of 1 to 64 (median 32)
  worker    pid  items  batches    busy    idle  overhead  peak memory  restarts
       0   4711    600       20  11.2 s  900 ms    200 ms      34.1 MB         0
       1  12345    400       12  7.80 s  4.45 s   45.0 us      1.23 GB         2
     all          1000       32  19.0 s  5.35 s    200 ms      1.23 GB         2
   share                         77.4 %  21.8 %     0.8 %
)");
}

TEST_CASE("a map without workers of its own has a short report", "[report]") {
  MapReport report{.name = "f", .backend = Backend::serial, .items = 1, .wall_seconds = 2.5e-7};
  CHECK(to_string(report) == "f on serial: 1 item in 250 ns\n");
  report.name.clear();
  report.batches = 1;
  report.smallest_batch = report.median_batch = report.largest_batch = 1;
  CHECK(to_string(report) == "map on serial: 1 item in 250 ns, 1 batch of 1\n");
  report.workers.resize(1);
  CHECK(to_string(report) == R"(map on serial: 1 item in 250 ns, 1 batch of 1
  worker  pid  items  batches   busy   idle  overhead  peak memory  restarts
       0    -      0        0    0 s    0 s       0 s            -         0
   share                       0.0 %  0.0 %     0.0 %
)");
}

TEST_CASE("a report's sums are those of its workers", "[report]") {
  const auto report = two_workers();
  CHECK(report.busy_seconds() == Catch::Approx(19.0));
  CHECK(report.idle_seconds() == Catch::Approx(5.35));
  CHECK(report.overhead_seconds() == Catch::Approx(0.200045));
  CHECK(report.busy_share() + report.idle_share() + report.overhead_share() == Catch::Approx(1.0));
  CHECK(report.busy_share() == Catch::Approx(19.0 / 24.550045));
  CHECK(report.peak_memory_bytes() == 1'234'000'000);
  CHECK(report.restarts() == 2);
  CHECK(MapReport{}.busy_share() == 0);
  CHECK(MapReport{}.peak_memory_bytes() == 0);
}

TEST_CASE("a report is an argument of fmt's", "[report]") {
  const auto report = two_workers();
  CHECK(fmt::format("{}", report) == to_string(report));
  CHECK_THAT(fmt::format("<{}>", report), ContainsSubstring("<render on processes"));
}

TEST_CASE("a report's JSON is as written", "[report]") {
  const MapReport report{.name = "a\"b\\c\n", .items = 3, .wall_seconds = 0.5, .workers = {{}}};
  CHECK(to_json(report) ==
        R"({"name":"a\"b\\c\u000a","backend":"processes","items":3,"batches":0,"smallest_batch":0,)"
        R"("median_batch":0,"largest_batch":0,"wall_seconds":0.5,"workers":[{"index":0,"pid":0,)"
        R"("items":0,"batches":0,"busy_seconds":0,"idle_seconds":0,"overhead_seconds":0,)"
        R"("peak_memory_bytes":0,"restarts":0}]})");
}

#ifdef APALIS_TEST_JSON

TEST_CASE("a report's JSON says what the report does", "[report]") {
  const auto report = two_workers();
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["name"] == "render");
  CHECK(json["backend"] == "processes");
  CHECK(json["items"] == 1000);
  CHECK(json["batches"] == 32);
  CHECK(json["smallest_batch"] == 1);
  CHECK(json["median_batch"] == 32);
  CHECK(json["largest_batch"] == 64);
  CHECK(json["wall_seconds"] == 12.34);
  REQUIRE(json["workers"].size() == 2);
  const auto& worker = json["workers"][1];
  CHECK(worker["index"] == 1);
  CHECK(worker["pid"] == 12345);
  CHECK(worker["items"] == 400);
  CHECK(worker["batches"] == 12);
  CHECK(worker["busy_seconds"] == 7.8);
  CHECK(worker["idle_seconds"] == 4.45);
  CHECK(worker["overhead_seconds"] == 0.000'045);
  CHECK(worker["peak_memory_bytes"] == 1'234'000'000);
  CHECK(worker["restarts"] == 2);
  CHECK(nlohmann::json::parse(to_json(MapReport{}))["workers"].empty());
}

TEST_CASE("a report of any name and any numbers is JSON", "[report]") {
  const auto name_in_json = [](const std::string& name) {
    return nlohmann::json::parse(to_json(MapReport{.name = name}))["name"].get<std::string>();
  };
  std::string ascii;
  for (char c = 0; c < 127; ++c) ascii += c;
  for (const std::string& name : {ascii, std::string("operator\"\"_x"),
                                  std::string("gr\xC3\xB6\xC3\x9F"
                                              "e"),
                                  std::string("\xE2\x88\x91"), std::string("\xF0\x9F\x90\x9D")})
    CHECK(name_in_json(name) == name);
  const std::string mark = "\xEF\xBF\xBD";
  for (const std::string& name :
       {std::string("\xFF"), std::string("\x80"), std::string("\xC3"), std::string("\xC0\xAF"),
        std::string("\xE0\x80\x80"), std::string("\xED\xA0\x80"), std::string("\xF4\x90\x80\x80"),
        std::string("\xF0\x9F\x90")})
    CHECK_THAT(name_in_json("a" + name + "b"), ContainsSubstring("a" + mark));

  MapReport report;
  for (const double seconds :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    report.wall_seconds = seconds;
    CHECK(nlohmann::json::parse(to_json(report))["wall_seconds"].is_null());
  }
  report.wall_seconds = 1e-300;
  CHECK(nlohmann::json::parse(to_json(report))["wall_seconds"] == 1e-300);
}

#endif
