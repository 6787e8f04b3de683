// A cache of translations that somebody has changed: the trace of some guest code, with bytes of it replaced.
// What is read of it is within its limits, and touches nothing outside the trace when it is made good. (What
// the code would do if it ran is not judged here: host_check.hpp.)
#include "cpu/translator/listing.hpp"
#include "cpu/translator/trace_file.hpp"
#include "input.hpp"

#include <cstdlib>
#include <vector>

using namespace strata::cpu;
using namespace strata::cpu::translator;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const x86::Model& model = *x86::find_model("max").value();
    static Listing listing(model, model);
    strata::fuzz::Input input(data, size);
    const auto bytes = input.take_bytes(input.take<std::uint8_t>() % 128);
    const std::vector<std::uint8_t> code(bytes.begin(), bytes.end());
    const Listing::Guest guest{.user = true, .narrow = (input.take<std::uint8_t>() & 1) != 0};
    std::vector<std::byte> content;
    try {
        const auto trace = listing.copies(code, 0x40'1000, guest, {}, nullptr).trace;
        if (trace) {
            content.assign(trace->bytes().begin(), trace->bytes().end());
            content.resize(content.size() + sizeof(TraceStore::Kept::age));
        }
    } catch (const Xbyak::Error&) { // the interpreter's
    }
    while (!input.empty()) {
        const std::size_t at = input.take<std::uint16_t>();
        const auto value = static_cast<std::byte>(input.take<std::uint8_t>());
        if (at < content.size()) {
            content[at] = value;
        } else {
            content.push_back(value);
        }
    }
    const auto traces = read_traces(content);
    if (!traces) {
        return 0;
    }
    std::size_t read = 0;
    for (const auto& [trace, age] : *traces) {
        read += trace->bytes().size() + sizeof age;
        static_cast<void>(listing.takes(*trace));
    }
    if (read != content.size()) {
        std::abort();
    }
    return 0;
}
