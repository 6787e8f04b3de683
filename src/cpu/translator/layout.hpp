// Where translated code finds the processor's state: distances from the host's rSP.
#pragma once

#include "cpu/translator/frame.hpp"

#include <optional>

namespace strata::cpu::translator {

struct StateLayout {
    explicit StateLayout(Frame& frame);

    [[nodiscard]] int reg(unsigned guest) const { return regs + static_cast<int>(guest) * 8; }

    [[nodiscard]] int vector(unsigned guest) const {
        return vectors + static_cast<int>(guest * sizeof(x86::Vector256));
    }

    [[nodiscard]] int segment_base(unsigned segment) const {
        return segment_bases + static_cast<int>(segment * sizeof(x86::Segment));
    }

    [[nodiscard]] int selector(unsigned segment) const {
        return selectors + static_cast<int>(segment * sizeof(x86::Segment));
    }

    [[nodiscard]] int region(unsigned number) const {
        return regions + static_cast<int>(number * sizeof(Region));
    }

    // The mask for the number of a bit in so many bytes: 2, 4 or 8.
    [[nodiscard]] int bit_numbers(unsigned bytes) const {
        return bit_masks + static_cast<int>(bytes / 4) * 8;
    }

    // 0 if 32-bit code reads and writes all by FS or GS.
    [[nodiscard]] int segment_limited(unsigned segment) const { return limited[segment - x86::fs]; }

    // The id of the translation by which the code at `linear` is fetched.
    [[nodiscard]] int fetch_id(bool user, std::uint64_t linear) const {
        return fetch_ids[user] +
               static_cast<int>(interpreter::FetchSet::index(linear) * sizeof(std::uint32_t));
    }

    // The arrays of the TLB set for a kind of data access.
    [[nodiscard]] int tlb_set(interpreter::DataView view) const {
        return tlb + static_cast<int>(static_cast<unsigned>(view) * sizeof(interpreter::TlbSet));
    }

    [[nodiscard]] int read_tags(interpreter::DataView view) const {
        return tlb_set(view) + tlb_arrays.read_tags;
    }

    [[nodiscard]] int write_tags(interpreter::DataView view) const {
        return tlb_set(view) + tlb_arrays.write_tags;
    }

    [[nodiscard]] int addends(interpreter::DataView view) const { return tlb_set(view) + tlb_arrays.addends; }

    [[nodiscard]] int physicals(interpreter::DataView view) const {
        return tlb_set(view) + tlb_arrays.physicals;
    }

    // In a TLB set.
    struct TlbArrays {
        int read_tags, write_tags, addends, physicals;
    };

    TlbArrays tlb_arrays;
    int regs, rip, vectors, segment_bases, selectors, cr0, cr2, cr3, cr4, pending_signals, wanted_signals;
    int other_flags, kernel_gs_base, data_view, data_tlb;
    int all_but_if, all_but_df, all_but_interrupt, arithmetic_flags, upper_half, bit_masks;
    int host_rsp, entry, resume, exit_link, target, operand, index_mask, page_mask, jump_mask;
    int vectors_in_memory, vectors_unusable, bases_unusable, time_stamp_refused, tsc_aux, flags, borrowed,
        minus_one, minus_two;
    int cpl, user_mode, code_segment, lstar; // user_mode: CodeMode::user
    int fast_calls, fast_returns, fast_kept_flags, fast_supervisor, fast_user, fast_other_flags,
        fast_upper_half;
    int known_returns, wide_jumps, nmi_blocked, gdtr;
    int x87_place, x87_unusable, x87_last, x87_operand, x87_operand_segment, x87_image;
    int x87_exception_masks, x87_control_mask, x87_control_words;
    std::optional<int> remaining; // empty if instructions are not counted
    int missed, missed_at, regions, fills, filled, filled_end, list_bits, both_lists, sign;
    std::array<int, 2> scratch, limited;
    int kept;
    int end; // of all state
    std::array<int, 8> pointers;
    std::array<int, 2> fetch_ids;                        // supervisor, user
    std::array<int, 4> jump_tags, jump_targets;          // by DataView
    std::array<const interpreter::TlbSet*, 4> data_sets; // by DataView

private:
    int tlb;
};

// Of a Region's members, in it.
inline constexpr int region_minus_base = offsetof(Region, minus_base),
                     region_minus_limit = offsetof(Region, minus_limit),
                     region_addend = offsetof(Region, addend), region_physical = offsetof(Region, physical);

} // namespace strata::cpu::translator
