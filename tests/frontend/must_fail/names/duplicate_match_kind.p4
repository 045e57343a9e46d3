match_kind { exact }
match_kind { exact }
