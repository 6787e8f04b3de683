// What of the processor's mode translated code depends on: whether it may run at all, and what it has to be
// told.
#include "cpu/translator/translator.hpp"
#include "cpu/x86/mxcsr.hpp"

#include <algorithm>
#include <utility>

namespace strata::cpu::translator {

using interpreter::CodeMode;
using interpreter::DataView;

// What follows from changes that were made outside translated code.
void Translator::look_at_state() {
    const bool smap = (cpu_.system.cr4 & x86::cr4::smap) != 0;
    if (smap != smap_) { // which translations have built in
        smap_ = smap;
        cpu_.blocks_.invalidate_all();
    }
    const std::array availabilities{cpu_.code_mode_.sse, cpu_.code_mode_.avx};
    if (availabilities != availabilities_) { // which blocks are translated for
        availabilities_ = availabilities;
        for (JumpCache& jumps : frame_.native.jumps) {
            jumps.clear();
        }
    }
    look_at_vectors();
    frame_.native.time_stamp_refused = (cpu_.system.cr4 & x86::cr4::tsd) != 0 ? 1 : 0;
    frame_.native.bases_unusable = (cpu_.system.cr4 & x86::cr4::fsgsbase) != 0 ? 0 : 1;
    look_at_x87();
    const bool narrow = cpu_.code_mode_.size == CodeMode::Size::bits32;
    if (narrow) {
        look_at_segments();
    }
    if (bool& known = narrow_jumps_[cpu_.code_mode_.user]; narrow != known) {
        known = narrow;
        // They know code by its address alone.
        const auto [one, other] = cpu_.code_mode_.user
                                      ? std::pair(DataView::user, DataView::never)
                                      : std::pair(DataView::supervisor, DataView::supervisor_smap_off);
        frame_.native.jumps[static_cast<std::size_t>(one)].clear();
        frame_.native.jumps[static_cast<std::size_t>(other)].clear();
    }
    frame_.native.system_calls.look_at(cpu_.system, {!narrow_jumps_[0], !narrow_jumps_[1]});
    frame_.native.interrupt_returns.wide = {!narrow_jumps_[0], !narrow_jumps_[1]};
}

// Translated code does what privilege levels 0 and 3 may.
bool Translator::translates() const {
    const unsigned cpl = cpu_.cpl();
    const bool wide = cpu_.code_mode_.size == CodeMode::Size::bits64;
    return (cpl == 0 || cpl == 3) && (wide || (cpu_.code_mode_.size == CodeMode::Size::bits32 &&
                                               !cpu_.code_mode_.real_or_v86 && flat()));
}

bool Translator::flat() const {
    const auto& segments = cpu_.system.segments;
    const auto reaches_all = [&](unsigned segment) {
        return segments[segment].base == 0 &&
               std::ranges::all_of(cpu_.accessible_end_[segment],
                                   [](std::uint64_t end) { return end >= end_of_narrow; });
    };
    return segments[x86::cs].base == 0 && segments[x86::cs].limit == end_of_narrow - 1 &&
           cpu_.accessible_end_[x86::cs][0] >= end_of_narrow && segments[x86::ss].big() &&
           reaches_all(x86::ds) && reaches_all(x86::es) && reaches_all(x86::ss);
}

void Translator::look_at_segments() {
    for (const unsigned segment : {x86::fs, x86::gs}) {
        const bool all = std::ranges::all_of(cpu_.accessible_end_[segment],
                                             [](std::uint64_t end) { return end >= end_of_narrow; });
        frame_.native.limited[segment - x86::fs] = all ? 0 : 1;
    }
}

// Where SIMD exceptions reach the guest, the interpreter carries out vector instructions.
void Translator::look_at_vectors() {
    const bool unmasked = (cpu_.fp.mxcsr & x86::mxcsr::masks) != x86::mxcsr::masks;
    frame_.native.vectors_unusable = unmasked ? 1 : 0;
}

} // namespace strata::cpu::translator
