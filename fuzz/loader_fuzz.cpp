// A kernel image made of random bytes, with modules and a command line of any size: loaded into a small
// machine, or refused in one line.
#include "input.hpp"
#include "machine/loader/loader.hpp"
#include "machine/tables/e820.hpp"
#include "memory/guest_memory.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace strata;
namespace loader = machine::loader;

constexpr std::uint64_t ram_size = 8 << 20;

void require(bool condition, const std::string& what) {
    if (!condition) {
        std::fprintf(stderr, "broken: %s\n", what.c_str());
        std::abort();
    }
}

class Machine {
public:
    void boot(fuzz::Input input) {
        const auto options = input.take<std::uint8_t>();
        loader::BootRequest request;
        for (unsigned i = options >> 1 & 3; i != 0; --i) {
            const auto size = input.take<std::uint32_t>() % largest_module_.size();
            request.modules.push_back({{"module", std::span(largest_module_).first(size)}, "arguments"});
        }
        request.command_line.assign(input.take<std::uint16_t>(), 'x');
        request.kernel = {"kernel", std::as_bytes(input.take_bytes(SIZE_MAX))};
        const auto state = loader::load(
            request, {.memory = *memory_, .e820 = e820_, .rsdp = 0xE'0000, .long_mode = (options & 1) != 0});
        if (!state) {
            const auto& message = state.error().message;
            require(!message.empty() && !message.contains('\n'), "a refusal is one line: " + message);
        }
    }

private:
    std::unique_ptr<memory::GuestMemory> memory_ = memory::GuestMemory::create(ram_size).value();
    std::vector<machine::E820Entry> e820_ = machine::e820_map(*memory_);
    std::vector<std::byte> largest_module_{2 * ram_size};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Machine machine;
    machine.boot({data, size});
    return 0;
}
