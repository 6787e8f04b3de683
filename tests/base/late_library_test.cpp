#include "base/late_library.hpp"

#include <gtest/gtest.h>

namespace strata {
namespace {

TEST(LateLibrary, FindsFunctions) {
    auto library = LateLibrary::open("libm.so.6", "libc6");
    ASSERT_TRUE(library);
    double (*function)(double) = nullptr;
    library->find("sqrt", function);
    ASSERT_TRUE(library->complete());
    EXPECT_EQ(function(9.0), 3.0);
}

TEST(LateLibrary, SaysWhatIsMissing) {
    const auto absent = LateLibrary::open("libstrata-absent.so.7", "libstrata-absent7");
    ASSERT_FALSE(absent);
    EXPECT_NE(absent.error().message.find("libstrata-absent.so.7"), std::string::npos);
    EXPECT_NE(absent.error().hint.find("libstrata-absent7"), std::string::npos);

    auto library = LateLibrary::open("libm.so.6", "libc6");
    ASSERT_TRUE(library);
    void (*function)() = nullptr;
    library->find("not_of_mathematics", function).find("not_either", function);
    const auto complete = library->complete();
    ASSERT_FALSE(complete);
    EXPECT_EQ(complete.error().message, "libm.so.6 has no not_of_mathematics");
}

} // namespace
} // namespace strata
