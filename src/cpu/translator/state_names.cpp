#include "cpu/translator/state_names.hpp"

#include "cpu/x86/register_names.hpp"

#include <array>
#include <fmt/format.h>

namespace strata::cpu::translator {

StateNames::StateNames(const StateLayout& layout) : layout_(layout) {
    for (unsigned i = 0; i < x86::register_names.size(); ++i) {
        names_[layout.reg(i)] = fmt::format("guest_{}", x86::register_names[i]);
    }
    names_[layout.segment_base(x86::fs)] = "fs_base";
    names_[layout.segment_base(x86::gs)] = "gs_base";
    constexpr std::array segments{"es", "cs", "ss", "ds", "fs", "gs"};
    for (unsigned i = 0; i < segments.size(); ++i) {
        names_[layout.selector(i)] = segments[i];
    }
    names_[layout.cr0] = "cr0";
    names_[layout.cr2] = "cr2";
    names_[layout.cr3] = "cr3";
    names_[layout.cr4] = "cr4";
    names_[layout.tsc_aux] = "tsc_aux";
    names_[layout.time_stamp_refused] = "time_stamp_refused";
    names_[layout.bases_unusable] = "bases_unusable";
    names_[layout.all_but_df] = "all_but_df";
    names_[layout.pending_signals] = "signals";
    names_[layout.borrowed] = "borrowed";
    names_[layout.minus_one] = "minus_one";
    names_[layout.vectors_in_memory] = "vectors_in_memory";
    names_[layout.wanted_signals] = "wanted_signals";
    names_[layout.other_flags] = "other_flags";
    names_[layout.kernel_gs_base] = "kernel_gs_base";
    names_[layout.data_view] = "data_view";
    names_[layout.data_tlb] = "data_tlb";
    names_[layout.all_but_if] = "all_but_if";
    names_[layout.all_but_interrupt] = "all_but_interrupt";
    names_[layout.arithmetic_flags] = "arithmetic_flags";
    for (const unsigned bytes : {2U, 4U, 8U}) {
        names_[layout.bit_numbers(bytes)] = fmt::format("bit_of_{}", bytes * 8);
    }
    names_[layout.x87_place] = "x87_place";
    names_[layout.x87_last] = "x87_last";
    names_[layout.x87_operand] = "x87_operand";
    names_[layout.x87_operand_segment] = "x87_operand_segment";
    names_[layout.x87_exception_masks] = "x87_exception_masks";
    names_[layout.x87_control_mask] = "x87_control_mask";
    names_[layout.x87_control_words] = "x87_control_words";
    names_[layout.jump_mask] = "jump_mask";
    names_[layout.jump_tags[0]] = "jump_tags";
    names_[layout.jump_targets[0]] = "jump_targets";
    names_[layout.target] = "target";
    names_[layout.operand] = "operand";
    names_[layout.limited[0]] = "fs_limited";
    names_[layout.limited[1]] = "gs_limited";
    for (std::size_t i = 0; i < layout.pointers.size(); ++i) {
        names_[layout.pointers[i]] = fmt::format("pointer{}", i);
    }
}

std::string StateNames::of(std::int64_t distance) const {
    if (const auto found = names_.find(static_cast<int>(distance)); found != names_.end()) {
        return found->second;
    }
    const std::int64_t in_regions = distance - layout_.region(0);
    constexpr std::array members{"minus_base", "minus_limit", "addend", "physical"};
    constexpr std::int64_t region_bytes = sizeof(Region), member_bytes = sizeof(Region::addend);
    if (in_regions >= 0 && in_regions < std::int64_t{Regions::capacity} * region_bytes) {
        return fmt::format("region{}.{}", in_regions / region_bytes - 1, // 0 is none
                           members[in_regions % region_bytes / member_bytes]);
    }
    const std::int64_t in_ids = distance - layout_.fetch_ids[0];
    if (in_ids >= 0 && in_ids < std::int64_t{interpreter::FetchSet::size} * 4) {
        return "page_id";
    }
    return fmt::format("state{:+}", distance);
}

} // namespace strata::cpu::translator
