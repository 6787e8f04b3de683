#include "cpu/interpreter/groups.hpp"

#include "cpu/interpreter/extended_state.hpp"
#include "cpu/interpreter/mmx/groups.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/system_rows.hpp"
#include "cpu/interpreter/x87/groups.hpp"

namespace strata::cpu::interpreter {

const std::vector<Rows>& instruction_groups() {
    static const std::vector<Rows> groups{
        arithmetic_rows(),
        transfer_rows(),
        branch_rows(),
        stack_rows(),
        multiply_rows(),
        shift_rows(),
        bit_rows(),
        bmi_rows(),
        semaphore_rows(),
        string_rows(),
        decimal_rows(),
        flag_control_rows(),
        miscellaneous_rows(),
        segment_rows(),
        far_rows(),
        control_rows(),
        table_rows(),
        msr_rows(),
        fast_call_rows(),
        system_rows(),
        io_rows(),
        x87::transfer_rows(),
        x87::arithmetic_rows(),
        x87::comparison_rows(),
        x87::function_rows(),
        x87::control_rows(),
        x87::environment_rows(),
        mmx::packed_rows(),
        mmx::transfer_rows(),
        mmx::conversion_rows(),
        mmx::three_d_now_rows(),
        fxsave_rows(),
        xsave_rows(),
        simd::aes_rows,
        simd::blend_rows,
        simd::control_rows,
        simd::element_rows,
        simd::fma_rows,
        simd::fp_arithmetic_rows,
        simd::fp_compare_rows,
        simd::fp_convert_rows,
        simd::fp_horizontal_rows,
        simd::fp_round_rows,
        simd::gather_rows,
        simd::integer_arithmetic_rows,
        simd::logic_rows,
        simd::masked_move_rows,
        simd::move_rows,
        simd::move_partial_rows,
        simd::permute_rows,
        simd::polynomial_rows,
        simd::sha_rows,
        simd::shift_rows,
        simd::shuffle_rows,
        simd::string_rows,
    };
    return groups;
}

} // namespace strata::cpu::interpreter
