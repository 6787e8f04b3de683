// Segment limits, types and privilege of the mode, as data accesses see them. SDM volume 3 sections 5.3
// to 5.5.
#include "cpu/interpreter/cpu.hpp"

namespace strata::cpu::interpreter {

namespace {

constexpr unsigned expand_down = 4, writable_data = 2, readable_code = 2, code = 8;

bool type_allows(const x86::Segment& segment, Access access) {
    const unsigned type = segment.type();
    if (type & code) {
        return access == Access::fetch || (access == Access::read && (type & readable_code));
    }
    return access == Access::read || (access == Access::write && (type & writable_data));
}

bool is_expand_down(const x86::Segment& segment) {
    return (segment.type() & (code | expand_down)) == expand_down;
}

} // namespace

void Cpu::segment_changed(unsigned index) {
    auto& ends = accessible_end_[index];
    if (code64_) {
        ends.fill(~std::uint64_t{0});
        return;
    }
    const x86::Segment& segment = system.segments[index];
    for (const Access access : {Access::read, Access::write}) {
        const bool simple =
            real_or_v86() || (!segment.unusable && segment.present() && type_allows(segment, access));
        const bool usable = simple && !is_expand_down(segment);
        ends[access == Access::write] = usable ? std::uint64_t{segment.limit} + 1 : 0;
    }
}

std::uint64_t Cpu::linear_slow(unsigned index, std::uint64_t offset, unsigned size, Access access) {
    const x86::Segment& segment = system.segments[index];
    const std::uint64_t last = offset + size - 1;
    bool allowed = false;
    if (is_expand_down(segment)) {
        const std::uint64_t top = segment.big() ? 0xFFFF'FFFF : 0xFFFF;
        allowed = offset > segment.limit && last <= top;
    } else {
        allowed = last <= segment.limit;
    }
    const bool typed =
        real_or_v86() || (!segment.unusable && segment.present() && type_allows(segment, access));
    if (!allowed || !typed) {
        raise(index == x86::ss ? x86::Vector::stack_fault : x86::Vector::general_protection);
    }
    return static_cast<std::uint32_t>(segment.base + offset);
}

} // namespace strata::cpu::interpreter
