// A hostile guest's use of KVM's clock: any address in its MSRs, at any time; what is saved loads again.
#include "base/state_stream.hpp"
#include "input.hpp"
#include "paravirt/kvm_clock.hpp"

#include <array>

namespace {

using namespace strata;

constexpr std::array<std::uint32_t, 5> msrs{0x11, 0x12, 0x4B56'4D00, 0x4B56'4D01, 0x4B56'4D02};

void save_and_load(paravirt::KvmClock& clock) {
    StateWriter writer;
    writer.section("clock");
    clock.visit(writer);
    StateReader reader(writer.bytes());
    reader.section("clock");
    clock.visit(reader);
}

void step(paravirt::KvmClock& clock, fuzz::Input& input) {
    const auto how = input.take<std::uint8_t>();
    const std::uint32_t msr = msrs[how / 8 % msrs.size()];
    switch (how % 8) {
    case 0: static_cast<void>(clock.read_msr(msr)); break;
    case 1: clock.refresh(how >= 128); break;
    case 2: save_and_load(clock); break;
    case 3: clock.reset(); break;
    case 4: static_cast<void>(clock.write_msr(msr, input.take<std::uint64_t>())); break;
    default: // somewhere near RAM and its ends
        static_cast<void>(
            clock.write_msr(msr, (std::uint64_t{how >= 192} << 32) + input.take<std::uint16_t>()));
        break;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto memory = memory::GuestMemory::create(0xA000, 0x8000).value();
    fuzz::Input input(data, size);
    const auto hz = input.take<std::uint32_t>();
    const auto offset = input.take<std::int64_t>();
    paravirt::KvmClock clock(*memory, {.tsc_hz = 1'000'000 + std::uint64_t{hz},
                                       .tsc_offset = [offset] { return offset; },
                                       .boot_time = 1'700'000'000'000'000'000});
    while (!input.empty()) {
        step(clock, input);
    }
    return 0;
}
