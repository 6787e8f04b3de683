#include "instance/identity.hpp"

#include <array>
#include <fmt/format.h>
#include <iterator>
#include <string_view>
#include <sys/random.h>

namespace strata::instance {
namespace {

constexpr std::string_view qualities[] = {
    "amber",   "bold",  "brisk", "calm",  "clear", "crisp",  "deep",  "early",  "fair",   "firm",   "fresh",
    "gentle",  "grand", "green", "hazel", "keen",  "lively", "lucid", "mellow", "mild",   "modest", "noble",
    "patient", "plain", "quick", "quiet", "rapid", "ruby",   "sharp", "silent", "smooth", "solid",  "steady",
    "still",   "sunny", "swift", "tidy",  "true",  "vivid",  "warm",  "wise",   "young"};
constexpr std::string_view things[] = {
    "basalt", "bay",    "bridge",  "brook",   "canyon",  "cape",  "cliff",  "cove",  "delta",
    "dune",   "falls",  "fjord",   "forest",  "glacier", "grove", "harbor", "heath", "hill",
    "island", "lagoon", "lake",    "marsh",   "meadow",  "mesa",  "moor",   "oasis", "peak",
    "plain",  "pond",   "prairie", "quarry",  "reef",    "ridge", "river",  "shore", "slate",
    "spring", "strait", "summit",  "terrace", "valley",  "vale"};
constexpr int plain_attempts = 3; // then numbers make sure

template <class Value>
Value random_value() {
    Value value{};
    while (getrandom(&value, sizeof value, 0) != sizeof value) {
    }
    return value;
}

} // namespace

std::string random_id() {
    std::string id;
    do {
        id.clear();
        for (const auto byte : random_value<std::array<unsigned char, 32>>()) {
            fmt::format_to(std::back_inserter(id), "{:02x}", byte);
        }
    } while (id.find_first_of("abcdef") >= short_id_digits);
    return id;
}

std::string random_name(int attempt) {
    const auto quality = qualities[random_value<unsigned>() % std::size(qualities)];
    const auto thing = things[random_value<unsigned>() % std::size(things)];
    return attempt < plain_attempts
               ? fmt::format("{}_{}", quality, thing)
               : fmt::format("{}_{}{}", quality, thing, random_value<unsigned>() % 1000000);
}

} // namespace strata::instance
